package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// print prints what was found.
func (r *results) print(out io.Writer) {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(table, format+"\n", args...) }
	r.printRates(line)
	r.printLanes(line)
	r.printLatency(line)
	r.printGrowth(line)
	_ = table.Flush()
	_, _ = fmt.Fprintf(out, "%d processors, %d connections with %d calls in flight each, %d lifecycles in flight, medians of %d turns\n",
		r.Processors, r.Connections, r.Concurrency, r.InFlight, r.Pairs)
}

func (r *results) printRates(line func(string, ...any)) {
	if r.Always == nil && r.Lazy == nil {
		return
	}
	line("flush\tlifecycles/s\tfloor/s\tratio\tby processor time\tstored (floor)\tread model behind")
	for _, one := range []struct {
		name string
		*rates
	}{{"always", r.Always}, {"2m", r.Lazy}} {
		if one.rates == nil {
			continue
		}
		line("%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.1f (%.0f)\t%.2f s", one.name, one.LifecyclesPerSecond, one.FloorPerSecond, one.Ratio,
			one.ProcessorRatio, one.Stored, one.FloorStored, one.Behind)
	}
	line("")
	line("processor, µs a lifecycle\talways\tfloor\t2m\tfloor")
	figure := func(r *rates, of func(*rates) map[string]float64, part string) string {
		if r == nil {
			return ""
		}
		if v, ok := of(r)[part]; ok {
			return fmt.Sprintf("%.0f", v)
		}
		return "-"
	}
	whole, bare := func(r *rates) map[string]float64 { return r.Processor }, func(r *rates) map[string]float64 { return r.FloorProcessor }
	for _, part := range append([]string{"clients", partReceiver, partNATS, partPostgres}, services...) {
		line("%s\t%s\t%s\t%s\t%s", part, figure(r.Always, whole, part), figure(r.Always, bare, part), figure(r.Lazy, whole, part), figure(r.Lazy, bare, part))
	}
	line("")
}

func (r *results) printLanes(line func(string, ...any)) {
	if len(r.Lanes) == 0 {
		return
	}
	line("busy connections\tlifecycles/s\tprocessor, µs a lifecycle")
	for _, l := range r.Lanes {
		line("%d\t%.0f\t%.0f", l.Connections, l.LifecyclesPerSecond, turn{processor: l.Processor}.all())
	}
	line("")
}

func (r *results) printLatency(line func(string, ...any)) {
	if len(r.Latency) == 0 {
		return
	}
	line("times in ms\tat\tcreate to first call p50\tp99\tresume to next call p50\tp99")
	for _, l := range r.Latency {
		line("flush %s\t%d/s\t%.1f\t%.1f\t%.1f\t%.1f", l.Flush, l.Rate, l.FirstCallP50, l.FirstCallP99, l.NextCallP50, l.NextCallP99)
	}
	line("")
}

func (r *results) printGrowth(line func(string, ...any)) {
	if len(r.Growth) == 0 {
		return
	}
	line("halted requests\tservices ready after\tNATS after\tlifecycles/s beside\tprocessor, µs a lifecycle\tNATS on disk\tPostgres on disk")
	mega := func(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }
	for _, g := range r.Growth {
		line("%d\t%.2f s\t%.2f s\t%.0f\t%.0f\t%s\t%s", g.InFlight, g.Start, g.NATSStart, g.LifecyclesPerSecond,
			turn{processor: g.Processor}.all(), mega(g.Disk[partNATS]), mega(g.Disk[partPostgres]))
	}
	line("")
	line("memory at\t%s\tPostgres\tconfig\torchestrator\tdispatcher\tcallback", "NATS")
	for _, g := range r.Growth {
		m := g.Memory
		line("%d\t%s\t%s\t%s\t%s\t%s\t%s", g.InFlight, mega(m[partNATS]), mega(m[partPostgres]), mega(m["config"]),
			mega(m["orchestrator"]), mega(m["dispatcher"]), mega(m["callback"]))
	}
	line("")
}
