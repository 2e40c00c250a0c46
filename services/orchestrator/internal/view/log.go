package view

// LogItem is an entry of the execution log (contract §6.5).
type LogItem struct {
	Status         string  `json:"status"`
	CollectionName *string `json:"collection_name"`
	FieldsAffected *[]any  `json:"fields_affected"`
	Message        *string `json:"message"`
	ActionType     *string `json:"action_type"`
	UpdatedAt      *string `json:"updated_at"`
	ConnectionKey  *string `json:"connection_key"`
	DatasetName    string  `json:"dataset_name"`
	SaaSVersion    *string `json:"saas_version"`
}

// Result is an entry, of either log, in a verbose list (contract §6.4).
type Result struct {
	ConnectionKey  *string `json:"connection_key"`
	CollectionName *string `json:"collection_name"`
	FieldsAffected *[]any  `json:"fields_affected"`
	Message        *string `json:"message"`
	ActionType     *string `json:"action_type"`
	Status         string  `json:"status"`
	UpdatedAt      *string `json:"updated_at"`
	UserID         *string `json:"user_id"`
	SaaSVersion    *string `json:"saas_version"`
}

// Item of a list. Results and Tasks are there in verbose lists only.
type Item struct {
	Request
	Results *map[string][]Result `json:"results,omitempty"`
	Tasks   *map[string]string   `json:"task_status_by_dataset,omitempty"`
}
