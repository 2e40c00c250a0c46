package identity

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
)

func containsNUL(s string) bool { return strings.ContainsRune(s, 0) }

// checkText takes any text that the stores can hold.
func checkText(s string) (string, *wrong) {
	if containsNUL(s) {
		return "", &hasNUL
	}
	return s, nil
}

var phonePattern = regexp.MustCompile(`^\+[1-9]\d{1,14}$`)

// checkPhone takes E.164 with 9 to 16 characters, or nothing.
func checkPhone(s string) (string, *wrong) {
	if s == "" || len(s) >= 9 && len(s) <= 16 && phonePattern.MatchString(s) {
		return s, nil
	}
	return "", &wrong{"value_error", "Value error, Phone number must be formatted in E.164 format, i.e. '+15558675309'."}
}

// checkUUID takes a UUID in any of its usual spellings, or nothing.
func checkUUID(s string) (string, *wrong) {
	if s == "" || uuid.Validate(s) == nil {
		return s, nil
	}
	return "", &wrong{"value_error", "Value error, badly formed hexadecimal UUID string"}
}

// checkEmail takes an address as mail is addressed today: a dot-atom, an
// at-sign, and a domain with a dot. It is stricter than RFC 5322, which
// net/mail follows: display names, comments, quoted local parts and address
// literals are legal there, and nobody's address here. It does not ask DNS.
// Letters beyond ASCII are taken on both sides (RFC 6531).
func checkEmail(s string) (string, *wrong) {
	s = strings.TrimSpace(s)
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return "", badEmail("An email address must have an @-sign.")
	}
	local, domain := s[:at], strings.ToLower(s[at+1:])
	switch {
	case !utf8.ValidString(s):
		return "", badEmail("It is not valid text.")
	case local == "":
		return "", badEmail("There must be something before the @-sign.")
	case domain == "":
		return "", badEmail("There must be something after the @-sign.")
	case len(local) > 64:
		return "", badEmail("The part before the @-sign is too long.")
	case len(domain) > 253 || len(local)+1+len(domain) > 254:
		return "", badEmail("The email address is too long.")
	case !dotAtom(local):
		return "", badEmail("The part before the @-sign contains characters that are not allowed.")
	case !strings.Contains(domain, "."):
		return "", badEmail("The part after the @-sign is not valid. It should have a period.")
	case !domainName(domain):
		return "", badEmail("The part after the @-sign is not a domain name.")
	}
	return local + "@" + domain, nil
}

func badEmail(reason string) *wrong {
	return &wrong{"value_error", "value is not a valid email address: " + reason}
}

func dotAtom(s string) bool {
	for atom := range strings.SplitSeq(s, ".") {
		if atom == "" {
			return false
		}
		for _, c := range atom {
			if !letterOrDigit(c) && !strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", c) {
				return false
			}
		}
	}
	return true
}

// domainName takes dot-separated labels; the last one must not be a number,
// which tells a name from an address.
func domainName(s string) bool {
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range label {
			if !letterOrDigit(c) && c != '-' {
				return false
			}
		}
	}
	return strings.ContainsFunc(labels[len(labels)-1], unicode.IsLetter)
}

// letterOrDigit takes ASCII letters and digits and, beyond ASCII, whatever
// makes up words: letters, the marks on them, digits.
func letterOrDigit(c rune) bool {
	return unicode.IsLetter(c) || unicode.IsDigit(c) || c > unicode.MaxASCII && unicode.IsMark(c)
}
