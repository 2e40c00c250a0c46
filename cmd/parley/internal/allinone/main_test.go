package allinone_test

import (
	"testing"

	"github.com/parley-dsr/parley/internal/embedded/testbed"
)

func TestMain(m *testing.M) { testbed.Main(m) }
