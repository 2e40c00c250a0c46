package webhooks

import (
	"regexp"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// MaxKey is the length of the longest key.
const MaxKey = 255

var (
	keyPattern = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	separators = regexp.MustCompile(`[\s-]+`)
)

// ValidKey says whether a text may be a key: 1 to 255 letters, digits,
// underscores and hyphens, all of ASCII.
func ValidKey(key string) bool { return len(key) <= MaxKey && keyPattern.MatchString(key) }

// KeyFromName makes the key of something that was given a name only: the name
// in ASCII and lower case, without punctuation, with one underscore for each
// run of blanks and hyphens. It is ErrKeyless where nothing is left, or too
// much.
func KeyFromName(name string) (string, error) {
	kept := strings.Map(func(r rune) rune {
		switch {
		case r > unicode.MaxASCII:
			return -1
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_', r == '-', unicode.IsSpace(r):
			return r
		}
		return -1
	}, strings.ToLower(transliterate(name)))
	key := separators.ReplaceAllString(strings.TrimSpace(kept), "_")
	if !ValidKey(key) {
		return "", ErrKeyless
	}
	return key, nil
}

// letters that have no decomposition into ASCII and an accent.
var letters = strings.NewReplacer(
	"ß", "ss", "ẞ", "SS", "æ", "ae", "Æ", "AE", "œ", "oe", "Œ", "OE", "ø", "o", "Ø", "O",
	"đ", "d", "Đ", "D", "ð", "d", "Ð", "D", "þ", "th", "Þ", "Th", "ł", "l", "Ł", "L", "ı", "i",
)

// transliterate takes accents off letters. What has no ASCII form stays, for
// the caller to drop.
func transliterate(name string) string {
	return letters.Replace(norm.NFKD.String(name))
}
