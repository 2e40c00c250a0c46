package webhooks

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestKeyFromName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"My Pre Execution Webhook":     "my_pre_execution_webhook",
		"Wake up Snowflake DB Webhook": "wake_up_snowflake_db_webhook",
		"foo-bar":                      "foo_bar",
		"foo bar":                      "foo_bar",
		"foo\tbar":                     "foo_bar",
		"foo - bar":                    "foo_bar",
		"foo*bar":                      "foobar",
		"foo.bar":                      "foobar",
		"Webhook #1":                   "webhook_1",
		"-x-":                          "_x_",
		"  trimmed ":                   "trimmed",
		"Löschung für Straße":          "loschung_fur_strasse",
		"a\u00a0b":                     "a_b",
		strings.Repeat("n", MaxKey):    strings.Repeat("n", MaxKey),
		"***":                          "",
		"":                             "",
		"日本":                           "",
		strings.Repeat("n", MaxKey+1):  "",
	} {
		got, err := KeyFromName(name)
		if got != want || (want == "") != errors.Is(err, ErrKeyless) {
			t.Errorf("KeyFromName(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestKeyFromNameIsAKeyAndStays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key, err := KeyFromName(rapid.String().Draw(t, "name"))
		if err != nil {
			return
		}
		if !ValidKey(key) {
			t.Fatalf("%q is no key", key)
		}
		if again, err := KeyFromName(key); err != nil || again != key {
			t.Fatalf("the key %q makes the key %q, %v", key, again, err)
		}
	})
}

func FuzzKeyFromName(f *testing.F) {
	for _, name := range []string{"My Webhook", "-x-", "\xff", "ẞ", "\u0130"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if key, err := KeyFromName(name); err == nil && !ValidKey(key) {
			t.Errorf("KeyFromName(%q) = %q", name, key)
		}
	})
}

func TestMove(t *testing.T) {
	t.Parallel()
	five := []string{"w0", "w1", "w2", "w3", "w4"}
	for name, tt := range map[string]struct {
		keys []string
		key  string
		to   int
		want []string
		err  error
	}{
		"last to first":    {five, "w4", 0, []string{"w4", "w0", "w1", "w2", "w3"}, nil},
		"stays":            {[]string{"w4", "w0", "w1"}, "w4", 0, []string{"w4", "w0", "w1"}, nil},
		"first to middle":  {[]string{"w4", "w0", "w1", "w2", "w3"}, "w4", 2, []string{"w0", "w1", "w4", "w2", "w3"}, nil},
		"of two":           {[]string{"a", "b"}, "a", 1, []string{"b", "a"}, nil},
		"behind the last":  {five, "w1", 5, nil, ErrOrder},
		"before the first": {five, "w1", -1, nil, ErrOrder},
		"unknown":          {five, "x", 0, nil, ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := slices.Clone(tt.keys)
			got, err := Move(tt.keys, tt.key, tt.to)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(before, tt.keys); diff != "" {
				t.Error("the given list changed", diff)
			}
		})
	}
}

func TestMoveKeepsTheOthersInOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keys := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,3}`), 1, 50, rapid.ID[string]).Draw(t, "keys")
		key := rapid.SampledFrom(keys).Draw(t, "key")
		to := rapid.IntRange(-2, len(keys)+2).Draw(t, "to")
		got, err := Move(keys, key, to)
		if to < 0 || to >= len(keys) {
			if !errors.Is(err, ErrOrder) {
				t.Fatalf("moved to %d of %d: %v", to, len(keys), err)
			}
			return
		}
		if err != nil || got[to] != key || len(got) != len(keys) {
			t.Fatalf("moved %q to %d of %v: %v, %v", key, to, keys, got, err)
		}
		rest, _, _ := Remove(keys, key)
		restAfter, _, _ := Remove(got, key)
		if diff := cmp.Diff(rest, restAfter); diff != "" {
			t.Fatal("the others changed their order", diff)
		}
	})
}

func TestRemove(t *testing.T) {
	t.Parallel()
	left, reordered, err := Remove([]string{"a", "b"}, "a")
	if err != nil || !reordered || !slices.Equal(left, []string{"b"}) {
		t.Errorf("the first: %v %v %v", left, reordered, err)
	}
	left, reordered, err = Remove([]string{"a", "b"}, "b")
	if err != nil || reordered || !slices.Equal(left, []string{"a"}) {
		t.Errorf("the last: %v %v %v", left, reordered, err)
	}
	if _, _, err = Remove(nil, "b"); !errors.Is(err, ErrUnknown) {
		t.Errorf("unknown: %v", err)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		items []Item
		want  []string
		err   error
	}{
		"given and made":              {[]Item{{Key: "a", Name: "A"}, {Name: "My Hook"}}, []string{"a", "my_hook"}, nil},
		"none":                        {nil, []string{}, nil},
		"equal keys":                  {[]Item{{Key: "a", Name: "A"}, {Key: "a", Name: "B"}}, nil, ErrDuplicate},
		"a made key equals a given":   {[]Item{{Key: "my_hook", Name: "A"}, {Name: "My Hook"}}, nil, ErrDuplicate},
		"equal names":                 {[]Item{{Key: "a", Name: "A"}, {Key: "b", Name: "A"}}, nil, ErrDuplicate},
		"two without a name":          {[]Item{{Key: "a"}, {Key: "b"}}, nil, ErrDuplicate},
		"neither key nor name":        {[]Item{{Key: "a", Name: "A"}, {}}, nil, ErrNameless},
		"a name that yields no key":   {[]Item{{Name: "***"}}, nil, ErrKeyless},
		"names differ, keys made not": {[]Item{{Name: "a b"}, {Name: "a-b"}}, nil, ErrDuplicate},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := Keys(tt.items)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheck(t *testing.T) {
	t.Parallel()
	stored := []Webhook{
		{ID: "1", Policy: "p", Key: "a", Name: "A"},
		{ID: "2", Policy: "p", Key: "b", Name: "B"},
		{ID: "3", Policy: "q", Key: "c", Name: "C"},
	}
	for name, tt := range map[string]struct {
		items []Item
		at    int
		want  Placed
		err   error
	}{
		"update":                          {[]Item{{Key: "a", Name: "New"}}, 0, Placed{"1", "a", "New"}, nil},
		"update keeps the name":           {[]Item{{Key: "a"}}, 0, Placed{"1", "a", "A"}, nil},
		"create":                          {[]Item{{Name: "D e"}}, 0, Placed{"", "d_e", "D e"}, nil},
		"create with a key":               {[]Item{{Key: "d", Name: "D"}}, 0, Placed{"", "d", "D"}, nil},
		"a made key that exists":          {[]Item{{Name: "a"}}, 0, Placed{}, ErrKeyTaken},
		"a key of another policy":         {[]Item{{Key: "c", Name: "X"}}, 0, Placed{}, ErrElsewhere},
		"a new one without a name":        {[]Item{{Key: "d"}}, 0, Placed{}, ErrNameless},
		"a name of blanks":                {[]Item{{Key: "d", Name: " \t"}}, 0, Placed{}, ErrNameless},
		"a name of blanks for an old one": {[]Item{{Key: "a", Name: " "}}, 0, Placed{}, ErrNameless},
		"the name of another policy's":    {[]Item{{Key: "d", Name: "C"}}, 0, Placed{}, ErrNameTaken},
		"the name of a removed one":       {[]Item{{Key: "d", Name: "A"}}, 0, Placed{}, ErrNameTaken},
		"names exchanged":                 {[]Item{{Key: "a", Name: "B"}, {Key: "b", Name: "A"}}, 0, Placed{"1", "a", "B"}, nil},
		"names exchanged, the other":      {[]Item{{Key: "a", Name: "B"}, {Key: "b", Name: "A"}}, 1, Placed{"2", "b", "A"}, nil},
		"the name of one that keeps it":   {[]Item{{Key: "a", Name: "B"}, {Key: "b"}}, 0, Placed{}, ErrNameTaken},
		"a new one takes a renamed one's": {[]Item{{Key: "a", Name: "X"}, {Key: "d", Name: "A"}}, 1, Placed{"", "d", "A"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys, err := Keys(tt.items)
			if err != nil {
				t.Fatal(err)
			}
			got, err := Check(stored, "p", tt.items, keys, tt.at)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
