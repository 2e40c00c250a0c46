package topology

// Names of the durable consumers of the services. Replicas of a service share
// them; two services never do.
const (
	// ConsumerCommands: the orchestrator, commands of the work stream.
	ConsumerCommands = "orchestrator-commands"
	// ConsumerFacts: the orchestrator, the facts of the other services.
	ConsumerFacts = "orchestrator-facts"
	// ConsumerProjectionRecords: the read model, the stream of BucketRequests.
	ConsumerProjectionRecords = "readmodel-records"
	// ConsumerProjectionEvents: the read model, all facts.
	ConsumerProjectionEvents = "readmodel-events"
	// ConsumerCallbackFacts: the callback service, the facts that begin and
	// end a halt.
	ConsumerCallbackFacts = "callback-facts"
	// ConsumerCallbackExpiry: the callback service, the stream of BucketHalted.
	ConsumerCallbackExpiry = "callback-expiry"
)

// LaneConsumer is the consumer of the calls of one connection.
func LaneConsumer(connectionID string) string { return "lane-" + connectionID }
