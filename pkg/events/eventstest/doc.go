// Package eventstest tests package events against the real server. It is a
// module of its own, so that nats-server stays out of the go.sum of those who
// use package events.
package eventstest
