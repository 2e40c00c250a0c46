package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNoPostgres says that this machine has no Postgres server to start, and
// what to install.
var ErrNoPostgres = errors.New("no Postgres found on this machine: install it (Debian, Ubuntu: apt-get install postgresql; in a checkout: make deps) or set PARLEY_DATABASE_URL")

// PostgresOptions say how the private Postgres runs.
type PostgresOptions struct {
	// Dir is where the folder "postgres" is made: the cluster, its log, and
	// the socket. One process at a time may use it.
	Dir string
	// Databases are created if they do not exist.
	Databases []string
	// Programs is the folder that has initdb, postgres and pg_ctl. Empty looks
	// in the search path and where the usual packages put them.
	Programs string
	// Fast trades durability for speed, for tests: nothing is flushed, and what is
	// committed without asking for more is lost where the server is killed.
	Fast bool
	// Logger gets the start, and an end that nobody asked for. Nil drops them.
	Logger *slog.Logger
}

// Postgres is a running cluster. It is a child of this process and does not
// outlive it, however this process ends (on Linux; elsewhere a killed process
// leaves it behind). Only this user, and root, can reach its socket; it listens
// on no network.
type Postgres struct {
	home   home
	child  *child
	lock   *dirLock
	logger *slog.Logger
	close  sync.Once
}

// superuser owns the cluster and its databases.
const superuser = "parley"

// StartPostgres starts the machine's Postgres over a cluster in Dir, which it
// creates the first time, and returns when it takes connections. It runs until
// Close, also if ctx ends later.
//
// As root, Postgres runs as the owner of the cluster, at first the user
// postgres or nobody. A cluster that was left by a crash is recovered. Errors
// are ErrNoPostgres, ErrDirInUse, and what Postgres wrote before it gave up.
func StartPostgres(ctx context.Context, o PostgresOptions) (*Postgres, error) {
	if o.Dir == "" {
		return nil, fmt.Errorf("%w: Dir is empty", ErrOptions)
	}
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	started := time.Now()
	h, err := openHome(o.Dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(h.dir)
	if err != nil {
		return nil, err
	}
	p := &Postgres{home: h, lock: lock, logger: logger}
	if err := p.start(ctx, o); err != nil {
		p.abandon()
		return nil, err
	}
	logger.Info("Postgres is running", "dir", h.dir, "version", p.home.bin.version, "took", time.Since(started).Round(time.Millisecond).String())
	return p, nil
}

func (p *Postgres) start(ctx context.Context, o PostgresOptions) error {
	if err := p.home.prepare(ctx, o.Programs); err != nil {
		return err
	}
	c, err := p.home.launch(o.Fast)
	if err != nil {
		return err
	}
	p.child = c
	if err := p.awaitReady(ctx); err != nil {
		return err
	}
	for _, name := range o.Databases {
		if err := p.CreateDatabase(ctx, name); err != nil {
			return err
		}
	}
	go p.watch()
	return nil
}

// abandon undoes a start that failed.
func (p *Postgres) abandon() {
	if p.child != nil {
		_ = p.child.stop()
	}
	p.home.removeSocket()
	p.lock.release()
}

// URL is where clients connect to a database of the cluster.
func (p *Postgres) URL(database string) string {
	return socketURL(p.home.socket, database)
}

// Done is closed when the server has ended, asked or not.
func (p *Postgres) Done() <-chan struct{} { return p.child.exited }

// Close stops the server: open transactions are rolled back, the rest is
// flushed. Calling it again does nothing.
func (p *Postgres) Close() error {
	var err error
	p.close.Do(func() {
		err = p.child.stop()
		p.home.removeSocket()
		p.lock.release()
	})
	return err
}

// CreateDatabase creates a database, unless it exists.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return fmt.Errorf("embedded: Postgres: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT 1 FROM pg_database WHERE datname = $1)", name).Scan(&exists); err != nil {
		return fmt.Errorf("embedded: Postgres: %w", err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("embedded: Postgres: create database %s: %w", name, err)
	}
	return nil
}

// readyEvery is how often a starting server is asked. Recovery after a crash
// may take long; the wait ends with ctx, not by itself.
const (
	readyEvery = 25 * time.Millisecond
	tellEvery  = 10 * time.Second
)

func (p *Postgres) awaitReady(ctx context.Context) error {
	tick, tell := time.NewTicker(readyEvery), time.NewTicker(tellEvery)
	defer tick.Stop()
	defer tell.Stop()
	for {
		conn, err := pgx.Connect(ctx, p.URL("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-tick.C:
		case <-tell.C:
			p.logger.Warn("Postgres is not ready yet", "error", err)
		case <-p.child.exited:
			return fmt.Errorf("embedded: Postgres did not start: %s", p.home.logTail())
		case <-ctx.Done():
			return fmt.Errorf("embedded: Postgres did not become ready: %w: %w", context.Cause(ctx), err)
		}
	}
}

// watch tells of an end that nobody asked for.
func (p *Postgres) watch() {
	<-p.child.exited
	if !p.child.stopping() {
		p.logger.Error("Postgres ended by itself", "log", filepath.Join(p.home.dir, logName))
	}
}

// removeAllQuietly is for what is only in the way.
func removeAllQuietly(path string) { _ = os.RemoveAll(path) }

// Abandoned says whether dir has a Postgres that no process uses any more. It is
// for tests that tidy up after killed ones.
func Abandoned(dir string) bool {
	h := home{dir: filepath.Join(dir, "postgres")}
	if _, err := os.Stat(filepath.Join(h.dir, "parley.lock")); err != nil {
		return false // being made, or not ours
	}
	lock, err := lockDir(h.dir)
	if err != nil {
		return false
	}
	defer lock.release()
	pid, known := workingIn(filepath.Join(h.dir, "data"))
	return known && pid == 0
}
