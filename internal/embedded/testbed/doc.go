// Package testbed gives tests the real NATS and the real Postgres: both start
// in seconds, and a fake would promise what the real one does not keep. Every
// test has a server or a database of its own, so tests run in parallel.
package testbed
