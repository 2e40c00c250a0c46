package cli

import (
	"io"
	"strings"
	"testing"
)

// TestNoServeHere: in a folder without a parley serve the commands say where
// they look for one.
func TestNoServeHere(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"PARLEY_CLIENT_ID is not set; ": {"request", "list"},
		"no parley serve runs here":     {"doctor"},
	} {
		err := Run(t.Context(), args, map[string]string{"PARLEY_DATA_DIR": t.TempDir()}, io.Discard)
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "in its folder, or name its data folder (.parley) in PARLEY_DATA_DIR") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
