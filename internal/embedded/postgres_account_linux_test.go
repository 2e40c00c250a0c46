package embedded

import "testing"

func TestPickCapability(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]uintptr{
		"Name:\tx\nCapPrm:\t000001ffffffffff\n": capDACReadSearch,
		"CapPrm:\t00000000a80425fb\n":           capDACOverride, // a container's usual set
		"CapPrm:\t0000000000000000\n":           0,
		"CapPrm:\tnonsense\n":                   0,
		"":                                      0,
	} {
		if got := pickCapability(status); got != want {
			t.Errorf("%q: %d, want %d", status, got, want)
		}
	}
}
