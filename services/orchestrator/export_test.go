package orchestrator

import "time"

// Patient lets callers wait longer than a busy machine takes for many requests.
func Patient(s *Settings) { s.patience = time.Minute }
