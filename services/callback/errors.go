package callback

import "errors"

// errNoCatalog says that config has never been there.
var errNoCatalog = errors.New("callback: the API clients are not known yet")
