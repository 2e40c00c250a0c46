package rotation_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-dsr/parley/internal/keyring"
	"github.com/parley-dsr/parley/internal/rotation"
)

// rings are before, during and after a rotation.
func rings(t *testing.T) (before, during, after *keyring.Ring) {
	t.Helper()
	var keys [2]string
	for i := range keys {
		var err error
		if keys[i], err = keyring.Generate(); err != nil {
			t.Fatal(err)
		}
	}
	parse := func(text string) *keyring.Ring {
		ring, err := keyring.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		return ring
	}
	return parse(keys[0]), parse(keys[1] + "," + keys[0]), parse(keys[1])
}

func TestSealedFindsThemAnywhere(t *testing.T) {
	t.Parallel()
	found, err := rotation.Sealed([]byte(`{"sealed_a":"1","b":{"sealed_c":"2","sealed_d":"","sealed_e":null,"e":"3"},"l":[{"sealed_f":"4"},"5",{"sealed_g":{"h":"6"}}],"n":1.5}`))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"1", "2", "4"}, found); diff != "" {
		t.Error(diff)
	}
	for _, broken := range []string{"", "{", `{"a"`, `{"sealed_a":"1"`, `[1`, `nope`} {
		if _, err := rotation.Sealed([]byte(broken)); !errors.Is(err, rotation.ErrDocument) {
			t.Errorf("%q: %v", broken, err)
		}
	}
}

func TestPlaceCountsByKey(t *testing.T) {
	t.Parallel()
	before, during, _ := rings(t)
	old, err := before.Seal(keyring.Vault, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := during.Seal(keyring.Vault, []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	soon := time.Now()
	late := soon.Add(time.Hour)
	p := rotation.NewPlace("somewhere", rotation.Reseal)
	p.Add(old, late)
	p.Add(old, soon)
	p.Add(fresh, time.Time{})
	p.Add("no value of ours", time.Time{})
	want := map[string]rotation.Count{
		before.KIDs()[0]:    {Values: 2, Until: late},
		during.KIDs()[0]:    {Values: 1, Lasting: 1},
		rotation.Unreadable: {Values: 1, Lasting: 1},
	}
	if diff := cmp.Diff(want, p.Keys); diff != "" {
		t.Error(diff)
	}
}

func TestAgain(t *testing.T) {
	t.Parallel()
	before, during, after := rings(t)
	old, err := before.Seal(keyring.Secret, []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	fresh, changed, err := rotation.Again(during, keyring.Secret, old)
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	if plain, err := after.Open(keyring.Secret, fresh); err != nil || string(plain) != "plain" {
		t.Errorf("%q, %v", plain, err)
	}
	for name, text := range map[string]string{"sealed with the new key": fresh, "nothing": "", "not sealed": "x"} {
		if same, changed, err := rotation.Again(during, keyring.Secret, text); same != text || changed || err != nil {
			t.Errorf("%s: %q, %v, %v", name, same, changed, err)
		}
	}
	if _, _, err := rotation.Again(after, keyring.Secret, old); !errors.Is(err, keyring.ErrUnknownKey) {
		t.Errorf("without the old key: %v", err)
	}
	if _, _, err := rotation.Again(during, keyring.Vault, old); !errors.Is(err, keyring.ErrSealed) {
		t.Errorf("for another purpose: %v", err)
	}
}
