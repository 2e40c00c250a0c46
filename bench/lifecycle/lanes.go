package main

import "context"

func (s size) lanes(context.Context, *house, *results) error { return nil }
