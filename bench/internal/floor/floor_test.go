package floor

import (
	"strings"
	"testing"
)

// The table and what is published are the same list.
func TestWhatIsStored(t *testing.T) {
	t.Parallel()
	if Stored() != 19 {
		t.Errorf("%d messages are stored", Stored())
	}
	var table strings.Builder
	if err := Table(&table); err != nil || !strings.Contains(table.String(), "request.completed") {
		t.Errorf("%v: %s", err, &table)
	}
}

// What is filled in leaves room for the headers that each publish adds.
func TestSizes(t *testing.T) {
	t.Parallel()
	for where, kinds := range stores() {
		for _, k := range kinds {
			msg := k.message("subject", pre)
			if msg.Data[0] != pre || len(msg.Data) != k.data {
				t.Errorf("%s, %s: %d bytes", where, k.name, len(msg.Data))
			}
			if n := len(msg.Header.Get("Floor")); n > k.header {
				t.Errorf("%s, %s: a header of %d bytes", where, k.name, n)
			}
		}
	}
}
