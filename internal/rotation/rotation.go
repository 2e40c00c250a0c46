// Package rotation says what is still sealed with which key of the keyring, so
// that an operator knows when an old one can go.
//
// Values are sealed in many places, and each service knows its own: it makes a
// Place of each and counts. Documents that hold sealed values among others keep
// them under members whose names begin with "sealed_" (catalog.Connection,
// record.Record); Sealed finds them by that, also those of a later version.
//
// What cannot be counted is told as Places with an end and without a number:
// tokens are with their holders.
package rotation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/parley-dsr/parley/internal/keyring"
)

// prefix of the members that hold sealed values.
const prefix = "sealed_"

// Unreadable is the kid under which values are counted that name no key: they
// are damaged, and no key opens them.
const Unreadable = ""

// ErrDocument is returned for a document that is not JSON. The error does not
// repeat it.
var ErrDocument = errors.New("rotation: not a JSON document")

// Place is where sealed values are.
type Place struct {
	Name string `json:"place"`
	// Keys has what is there, by the kid that sealed it.
	Keys map[string]Count `json:"keys"`
	// Remedy says how values leave an old key.
	Remedy Remedy `json:"remedy"`
}

// Remedy is what frees a place of an old key.
type Remedy string

// The remedies.
const (
	// Reseal: parley keys reseal.
	Reseal Remedy = "reseal"
	// Wait: the values end by themselves.
	Wait Remedy = "wait"
)

// Count is how many values a key has sealed.
type Count struct {
	Values int `json:"values"`
	// Until is when the last of them expires by itself; zero for never.
	Until time.Time `json:"until,omitzero"`
	// Lasting are those of them that do not expire.
	Lasting int `json:"lasting"`
}

// NewPlace is a place where nothing has been found yet.
func NewPlace(name string, remedy Remedy) *Place {
	return &Place{Name: name, Keys: map[string]Count{}, Remedy: remedy}
}

// Add counts a value by the key that it names. A zero until is a value that
// stays until it is sealed again.
func (p *Place) Add(sealed string, until time.Time) {
	kid, err := keyring.KIDOf(sealed)
	if err != nil {
		kid = Unreadable
	}
	p.AddKID(kid, until)
}

// AddKID counts a value whose key is known.
func (p *Place) AddKID(kid string, until time.Time) {
	c := p.Keys[kid]
	c.Values++
	switch {
	case until.IsZero():
		c.Lasting++
	case until.After(c.Until):
		c.Until = until
	}
	p.Keys[kid] = c
}

// AddAll counts the sealed values of a document.
func (p *Place) AddAll(document []byte, until time.Time) error {
	values, err := Sealed(document)
	for _, sealed := range values {
		p.Add(sealed, until)
	}
	return err
}

// Sealed lists the sealed values of a document, in the order in which they
// stand.
func Sealed(document []byte) ([]string, error) {
	d := json.NewDecoder(bytes.NewReader(document))
	var found []string
	err := walk(d, false, func(sealed string) { found = append(found, sealed) })
	return found, err
}

// walk reads one value. within says that it stands under a sealed member.
func walk(d *json.Decoder, within bool, see func(string)) error {
	token, err := d.Token()
	if err != nil {
		return ErrDocument
	}
	switch t := token.(type) {
	case string:
		if within && t != "" {
			see(t)
		}
	case json.Delim:
		for d.More() {
			inside := false
			if t == '{' {
				name, err := d.Token()
				if err != nil {
					return ErrDocument
				}
				text, _ := name.(string)
				inside = strings.HasPrefix(text, prefix)
			}
			if err := walk(d, inside, see); err != nil {
				return err
			}
		}
		if _, err := d.Token(); err != nil {
			return ErrDocument
		}
	}
	return nil
}

// Old says whether a value was sealed with another key than the one that seals
// now. What names no key is left as it is.
func Old(ring *keyring.Ring, sealed string) bool {
	kid, err := keyring.KIDOf(sealed)
	return err == nil && kid != ring.KIDs()[0]
}

// Again seals a value with the key that seals now; changed is false where that
// is so already. The error is that of opening it.
func Again(ring *keyring.Ring, p keyring.Purpose, sealed string) (text string, changed bool, err error) {
	if sealed == "" || !Old(ring, sealed) {
		return sealed, false, nil
	}
	plain, err := ring.Open(p, sealed)
	if err != nil {
		return sealed, false, fmt.Errorf("rotation: %w", err)
	}
	text, err = ring.Seal(p, plain)
	if err != nil {
		return sealed, false, fmt.Errorf("rotation: %w", err)
	}
	return text, true, nil
}

// Resealed says what became of a place.
type Resealed struct {
	Place string `json:"place"`
	// Done were sealed again.
	Done int `json:"done"`
	// Left could not be opened, or were being written by others.
	Left int `json:"left"`
}

// AddEnd says that a key may have sealed values here that nobody can count,
// and when the last of them ends.
func (p *Place) AddEnd(kid string, until time.Time) {
	c := p.Keys[kid]
	if until.After(c.Until) {
		c.Until = until
	}
	p.Keys[kid] = c
}
