package egress

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/parley-dsr/parley/pkg/events"
)

// forbidden are spellings of addresses that are not public. Those that are no
// literal to Go are names, which some resolvers read as addresses.
var forbidden = []string{
	// loopback
	"127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "127.1", "127.0.1", "0177.0.0.1", "0177.0.0.01",
	"017700000001", "0x7f.0.0.1", "0x7f.1", "0x7f000001", "0x7F.0x0.0x0.0x1", "2130706433", "127.0.0.1.",
	"127.000.000.001", "00000177.0.0.1",
	// localhost
	"localhost", "LOCALHOST", "LocalHost.", "localhost.", "localhost.localdomain", "sub.localhost", "a.b.localhost.",
	"ip6-localhost", "ip6-loopback", "localtest.me", "127.0.0.1.nip.io",
	// this host, private, shared, link-local, metadata
	"0.0.0.0", "0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "012.0.0.1", "167772161", "172.16.0.1", "172.31.255.255",
	"192.168.0.1", "192.168.255.255", "0xc0a80001", "3232235521", "100.64.0.1", "100.127.255.254",
	"169.254.0.1", "169.254.169.254", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "metadata.google.internal",
	// reserved, test nets, multicast, broadcast
	"192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1",
	"255.255.255.255",
	// IPv6
	"[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[fe80::1]", "[fe80::1%25lo]",
	"[fc00::1]", "[fd12:3456:789a::1]", "[fd00:ec2::254]", "[fec0::1]", "[ff02::1]", "[ff0e::1]", "[100::1]",
	"[2001:db8::1]", "[2001::1]", "[2001:10::1]",
	// IPv4 in IPv6
	"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::ffff:10.0.0.1]", "[::ffff:a9fe:a9fe]", "[0:0:0:0:0:ffff:7f00:1]",
	"[::127.0.0.1]", "[::7f00:1]", "[::ffff:0:127.0.0.1]",
	"[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::a00:1]",
	"[2002:7f00:1::]", "[2002:a00:1::1]", "[2002:a9fe:a9fe::]", "[2002:c0a8:1::1]",
	// with a login before the host
	"example.com@127.0.0.1", "example.com:443@10.0.0.1", "user:password@[::1]", "127.0.0.1@localhost",
}

var public = []string{
	"1.1.1.1", "8.8.8.8", "9.9.9.9", "11.0.0.1", "93.184.216.34", "100.63.255.255", "100.128.0.1", "126.255.255.255",
	"128.0.0.1", "169.253.255.255", "169.255.0.1", "172.15.255.255", "172.32.0.1", "191.255.255.255", "192.167.255.255",
	"192.169.0.1", "198.17.255.255", "198.20.0.1", "203.0.112.1", "223.255.255.254",
	"[2606:4700:4700::1111]", "[2001:4860:4860::8888]", "[2a00:1450:4001:81b::200e]",
}

// refused says whether a call to the host ended as it should. A number is no
// name to Go, which does not look it up; it is one to other resolvers, which
// read it as an address that is then refused.
func refused(host, outcome string) bool {
	return outcome == events.OutcomeForbidden ||
		outcome == events.OutcomeDNS && strings.Trim(host, "0123456789abcdefxABCDEFX.") == ""
}

// Webhook and token URLs are held to the same rules. The resolver leads every
// name to this machine, as a resolver may that is not ours.
func TestForbiddenAddresses(t *testing.T) {
	t.Parallel()
	if len(forbidden) < 60 || len(public) < 20 {
		t.Fatalf("%d forbidden and %d public addresses", len(forbidden), len(public))
	}
	client := New(Rules{AllowHTTP: true, Timeout: 20 * time.Second, Resolver: names(func(string) []netip.Addr {
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}
	})})
	t.Cleanup(client.Close)
	for _, host := range forbidden {
		for _, url := range []string{"https://" + host + "/hook", "http://" + host + ":9/hook"} {
			for what, try := range map[string]func(string) error{
				"webhook": func(url string) error {
					_, err := client.Post(t.Context(), Request{URL: url})
					return err
				},
				"token": func(url string) error { return fetch(t, client.HTTP(), url) },
				"probe": func(url string) error { return client.Reach(t.Context(), url, nil) },
			} {
				if err := try(url); err == nil || !refused(host, Outcome(Answer{}, err)) {
					t.Errorf("%s at %s: %v", what, url, err)
				}
			}
		}
	}
}

func fetch(t *testing.T, client *http.Client, url string) error {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("grant_type=client_credentials"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	guard := control(nil)
	for _, host := range public {
		network := "tcp4"
		if strings.HasPrefix(host, "[") {
			network = "tcp6"
		}
		for _, port := range []string{":443", ":8443", ":80"} {
			if err := guard(network, host+port, nil); err != nil {
				t.Errorf("%s: %v", host+port, err)
			}
		}
	}
}
