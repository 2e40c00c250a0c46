package halt

import "errors"

// errMessage is for a message that can never be understood: it is given up.
var errMessage = errors.New("halt: message cannot be read")
