package keyring

// SealText seals a text that may be missing: "" stands for none.
func (r *Ring) SealText(p Purpose, text *string) (string, error) {
	if text == nil {
		return "", nil
	}
	return r.Seal(p, []byte(*text))
}

// OpenText opens what SealText gave. A text whose key is gone cannot be shown
// any more: it is nil, as one that never was.
func (r *Ring) OpenText(p Purpose, sealed string) *string {
	if sealed == "" {
		return nil
	}
	plain, err := r.Open(p, sealed)
	if err != nil {
		return nil
	}
	text := string(plain)
	return &text
}
