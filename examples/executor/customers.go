package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/parley-dsr/parley/pkg/events"
)

// customers are the data that requests are answered on.
type customers struct {
	pool    *pgxpool.Pool
	results string
	log     *slog.Logger
}

// whose selects the rows of a person; what is not known of them is NULL, which
// equals nothing.
const whose = `(lower(email) = lower($1) OR phone = $2)`

// prepare finds out before the first request whether they can be answered.
func (c *customers) prepare(ctx context.Context) error {
	if err := os.MkdirAll(c.results, 0o700); err != nil {
		return fmt.Errorf("RESULTS_DIR: %w", err)
	}
	if _, err := c.pool.Exec(ctx, `SELECT email, phone FROM customers LIMIT 0`); err != nil {
		return fmt.Errorf("DATABASE_URL: look at the table customers: %w", err)
	}
	_, err := c.pool.Exec(ctx, `CREATE TABLE IF NOT EXISTS privacy_erasures (
		request_id text PRIMARY KEY, customers bigint NOT NULL, at timestamptz NOT NULL DEFAULT now())`)
	if err != nil {
		return fmt.Errorf("DATABASE_URL: create the table privacy_erasures: %w", err)
	}
	return nil
}

// access writes what is known about a person into a file of the request. A
// repeat writes it again.
func (c *customers) access(ctx context.Context, task *events.ExecutionTask) error {
	email, phone, err := identityOf(task)
	if err != nil {
		return err
	}
	rows, err := c.pool.Query(ctx, `SELECT to_jsonb(customers) FROM customers WHERE `+whose, email, phone)
	if err != nil {
		return c.later(task, err)
	}
	found, err := pgx.CollectRows(rows, pgx.RowTo[json.RawMessage])
	if err != nil {
		return c.later(task, err)
	}
	if len(found) == 0 {
		return errUnknown()
	}
	if err := task.Progress(ctx, fmt.Sprintf("Customers found: %d", len(found))); err != nil {
		return c.later(task, err)
	}
	if err := c.write(task, map[string]any{"request": task.RequestID, "customers": found}); err != nil {
		return c.later(task, err)
	}
	c.log.Info("answered", "request_id", task.RequestID, "action", task.Action, "customers", len(found))
	return nil
}

// erase deletes the rows of a person. That it did so is noted in the same
// transaction: a repeat, which finds nothing, is then not mistaken for a request
// of somebody who was never here.
func (c *customers) erase(ctx context.Context, task *events.ExecutionTask) error {
	email, phone, err := identityOf(task)
	if err != nil {
		return err
	}
	var found, erased int64
	err = c.pool.QueryRow(ctx, `SELECT (SELECT count(*) FROM customers WHERE `+whose+`),
		coalesce((SELECT customers FROM privacy_erasures WHERE request_id = $3), -1)`, email, phone, task.RequestID).Scan(&found, &erased)
	switch {
	case err != nil:
		return c.later(task, err)
	case found == 0 && erased >= 0:
		c.log.Info("erased before", "request_id", task.RequestID)
		return nil
	case found == 0:
		return errUnknown()
	}
	if err := task.Progress(ctx, fmt.Sprintf("Customers found: %d", found)); err != nil {
		return c.later(task, err)
	}
	err = pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, `DELETE FROM customers WHERE `+whose, email, phone)
		if err != nil {
			return err
		}
		erased = done.RowsAffected()
		_, err = tx.Exec(ctx, `INSERT INTO privacy_erasures (request_id, customers) VALUES ($1, $2)
			ON CONFLICT (request_id) DO UPDATE SET customers = privacy_erasures.customers + excluded.customers`, task.RequestID, erased)
		return err
	})
	if err != nil {
		return c.later(task, err)
	}
	c.log.Info("answered", "request_id", task.RequestID, "action", task.Action, "customers", erased)
	return nil
}

// identityOf gives by what a person can be found here, as it was submitted or
// as webhooks derived it.
func identityOf(task *events.ExecutionTask) (email, phone *string, err error) {
	field := func(name string) *string {
		if value, ok := task.Person.Identity[name].(string); ok && value != "" {
			return &value
		}
		return nil
	}
	email, phone = field("email"), field("phone_number")
	if email == nil && phone == nil {
		err = events.Fail("Customers are found by e-mail address or phone number, and neither is known.")
	}
	return email, phone, err
}

// errUnknown goes to the log of the request, as it is: it names nobody.
func errUnknown() error {
	return events.Fail("No customer has this e-mail address or phone number.")
}

// later leaves an execution for a better time: the database, NATS or the disk
// is away. It has time until its deadline.
func (c *customers) later(task *events.ExecutionTask, err error) error {
	if !errors.Is(err, context.Canceled) {
		c.log.Warn("will be tried again", "request_id", task.RequestID, "error", err)
	}
	return events.Again(0, err)
}

// write writes a result into its file, whole or not at all, encrypted where the
// request has a key for it.
func (c *customers) write(task *events.ExecutionTask, result any) error {
	content, err := json.MarshalIndent(result, "", "  ")
	if err != nil {
		return err
	}
	name := filepath.Join(c.results, task.RequestID+".json")
	if key := task.Person.EncryptionKey; key != "" {
		if content, err = seal([]byte(key), content); err != nil {
			return err
		}
		name += ".aes"
	}
	file, err := os.CreateTemp(c.results, ".unfinished-*") // readable by its owner alone
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already where all went well
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), name)
}

// seal encrypts by AES-GCM. The nonce comes first.
func seal(key, plain []byte) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, gcm.NonceSize())
	_, _ = rand.Read(nonce) // it never fails
	return gcm.Seal(nonce, nonce, plain, nil), nil
}
