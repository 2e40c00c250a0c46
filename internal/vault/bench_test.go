package vault

import (
	"testing"

	"github.com/parley-dsr/parley/internal/identity"
	"github.com/parley-dsr/parley/internal/keyring"
)

// BenchmarkOpen opens what every call needs: a sealed person.
func BenchmarkOpen(b *testing.B) {
	text, err := keyring.Generate()
	if err != nil {
		b.Fatal(err)
	}
	ring, err := keyring.Parse(text)
	if err != nil {
		b.Fatal(err)
	}
	v := Open(nil, ring)
	email, phone := "person@example.com", "+15558675309"
	value, err := v.seal("pri_1", Person{
		Identity:     identity.Identity{Email: &email, PhoneNumber: &phone},
		CustomFields: map[string]identity.Labeled{"name": {Label: "Name", Value: "Ada"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.open("pri_1", value); err != nil {
			b.Fatal(err)
		}
	}
}
