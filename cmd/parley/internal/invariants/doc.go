// Package invariants says what must be true of an installation when all is
// quiet again, whatever was done to it meanwhile: processes killed and stopped,
// networks cut, stores full, receivers down.
//
// Check looks at what was collected from outside: the facts of the stream, the
// records, what people and the database are shown, what receivers were called
// with, what callers were told, and what was broken when. It is a function of
// that alone, so each of its rules has a test that shows what it finds.
//
// Times are used only where nothing else can tell: the clocks are those of one
// machine, and what may be seen late on a busy one has the Slack of the
// collection.
package invariants
