//go:build upgrade

package e2e

import (
	"context"
	"testing"

	"github.com/parley-dsr/parley/cmd/parley/internal/story"
)

// tale is the story, told in a house whose services change meanwhile.
type tale struct {
	m *mixed
	story.Story
}

// begin tells the story up to the halt.
func (m *mixed) begin(names string) *tale {
	m.t.Helper()
	s := &tale{m: m, Story: story.Story{Cast: story.Published(), Receiver: m.receiver, Names: names}}
	s.tell(func(ctx context.Context) error { return s.Open(ctx, m.origin, rootID, m.secret) }, s.Configure, s.Submit, s.SeeHalt)
	return s
}

// end tells the rest.
func (s *tale) end() {
	s.m.t.Helper()
	s.tell(s.Resume, s.SeeEnd)
}

func (s *tale) tell(steps ...func(context.Context) error) {
	s.m.t.Helper()
	for _, step := range steps {
		ctx, cancel := context.WithTimeout(s.m.t.Context(), patience)
		err := step(ctx)
		cancel()
		if err != nil {
			s.m.t.Fatal(err)
		}
	}
}

// TestUpgrade upgrades each service by itself, and takes the upgrade back: in a
// house of one version, in which requests wait in every way, a process of the
// other version starts beside the one that runs, both work, and the first ends.
// Stories are told over each of these moments.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	before, this := versionBefore(t), thisVersion(t)
	for _, name := range serviceNames {
		for order, v := range map[string]struct{ from, to version }{
			"forward": {before, this}, "back": {this, before},
		} {
			t.Run(name+"/"+order, func(t *testing.T) {
				t.Parallel()
				m := openMixed(t, v.from)
				m.fill()
				first := m.begin("_first")
				m.join(name, v.to)
				m.work(name)
				first.end()
				second := m.begin("_second")
				m.leave(name, m.first(name), m.openGate)
				second.end()
				m.round()
				m.finish()
				m.check()
			})
		}
	}
}

// TestUpgradeMigration migrates a database beneath the version before: the next
// version comes, migrates, and goes again. The version before works on, and
// starts again, on the newer schema.
func TestUpgradeMigration(t *testing.T) {
	t.Parallel()
	before, this := versionBefore(t), thisVersion(t)
	for _, name := range []string{"config", "orchestrator"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := openMixed(t, before)
			m.fill()
			old := m.schema(name)
			told := m.begin("_migrated")
			m.leave(name, m.join(name, this), func() {})
			t.Logf("schema of %s: %d before, %d after", name, old, m.schema(name))
			m.work(name)
			m.replace(name, before)
			told.end()
			m.begin("_restarted").end()
			m.finish()
			m.check()
		})
	}
}

// TestUpgradeInTurn replaces all services of a house, one after the other as
// docs/operations.md says, and then goes back.
func TestUpgradeInTurn(t *testing.T) {
	t.Parallel()
	before, this := versionBefore(t), thisVersion(t)
	m := openMixed(t, before)
	m.fill()
	told := m.begin("_before")
	for _, name := range serviceNames {
		m.replace(name, this)
		m.round()
	}
	told.end()
	told = m.begin("_this")
	for _, name := range serviceNames {
		m.replace(name, before)
		m.round()
	}
	told.end()
	m.finish()
	m.check()
}

// TestUpgradeAtOnce ends all processes and starts those of the other version on
// what they have left: its databases, streams and buckets. Then it goes back.
func TestUpgradeAtOnce(t *testing.T) {
	t.Parallel()
	before, this := versionBefore(t), thisVersion(t)
	m := openMixed(t, before)
	m.fill()
	told := m.begin("_before")
	m.exchange(this)
	told.end()
	m.round()
	told = m.begin("_this")
	m.exchange(before)
	told.end()
	m.round()
	m.finish()
	m.check()
}

// exchange ends all processes and starts those of a version. The dispatcher
// ends last, when its calls in flight are answered.
func (m *mixed) exchange(v version) {
	m.t.Helper()
	for _, name := range []string{"config", "callback", "orchestrator", "dispatcher"} {
		m.leave(name, m.first(name), m.letEnd(name))
	}
	for _, name := range serviceNames {
		m.join(name, v)
	}
}
