// Package lifecycle decides what becomes of a privacy request. It is pure:
// a record, an input and the time go in; the next record, with what has to be
// published, and the answer to a waiting caller come out. Nothing here reads a
// clock, a database or a network.
//
// What it promises, whatever inputs come, however often and in whatever order:
//
//   - An input that answers a step the record is not waiting for changes
//     nothing. Late, repeated and reordered answers are harmless.
//   - The same input twice has the effect of once, and the same answer.
//   - No webhook of a run is called before the earlier ones of its phase have ended or,
//     one_way, have released the request.
//   - Nothing leaves complete, denied and canceled, and while a request is in
//     one of these, or paused, no two_way call is ordered.
//   - A one_way call that was not delivered is made once more when a person asks,
//     whatever has become of the run, and once only; the request does not wait.
//   - Every wait has a deadline; a request that waits for a person alone has
//     no wait.
package lifecycle
