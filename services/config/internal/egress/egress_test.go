package egress

import (
	"errors"
	"net/netip"
	"testing"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	strict := New(nil, false)
	laptop := New([]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, true)
	for url, want := range map[string]struct{ strict, laptop error }{
		"https://www.example.com":         {nil, nil},
		"https://www.example.com:8443/x":  {nil, nil},
		"example.com":                     {nil, nil},
		"example.com:8080/x":              {nil, nil},
		"http://www.example.com":          {ErrPlain, nil},
		"HTTP://www.example.com":          {ErrPlain, nil},
		"ftp://www.example.com":           {ErrScheme, ErrScheme},
		"https://93.184.215.14/hook":      {nil, nil},
		"https://127.0.0.1/hook":          {ErrAddress, nil},
		"https://localhost:9000":          {ErrAddress, nil},
		"https://LOCALHOST.":              {ErrAddress, nil},
		"https://[::1]/hook":              {ErrAddress, nil},
		"127.0.0.1:9000/hook":             {ErrAddress, nil},
		"https://10.1.2.3":                {ErrAddress, ErrAddress},
		"https://169.254.169.254/latest":  {ErrAddress, ErrAddress},
		"https://100.64.0.1":              {ErrAddress, ErrAddress},
		"https://224.0.0.1":               {ErrAddress, ErrAddress},
		"https://0.0.0.0":                 {ErrAddress, ErrAddress},
		"https://[fe80::1%25eth0]":        {ErrAddress, ErrAddress},
		"https://[fd00::1]":               {ErrAddress, ErrAddress},
		"https://[::ffff:10.1.2.3]":       {ErrAddress, ErrAddress},
		"https://[64:ff9b::a01:203]":      {ErrAddress, ErrAddress},
		"https://[2002:a01:203::1]":       {ErrAddress, ErrAddress},
		"https://user:password@10.1.2.3/": {ErrAddress, ErrAddress},
	} {
		if err := strict.Check(url); !errors.Is(err, want.strict) {
			t.Errorf("strict: %s: %v, want %v", url, err, want.strict)
		}
		if err := laptop.Check(url); !errors.Is(err, want.laptop) {
			t.Errorf("laptop: %s: %v, want %v", url, err, want.laptop)
		}
	}
}
