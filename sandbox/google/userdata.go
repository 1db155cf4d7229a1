package google

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
)

// The messages as canonical JSON has them, as far as they are looked at.
type (
	account struct {
		AccountType string `json:"accountType"`
		AccountID   string `json:"accountId"`
	}
	destination struct {
		Reference          string   `json:"reference"`
		OperatingAccount   account  `json:"operatingAccount"`
		LoginAccount       *account `json:"loginAccount"`
		LinkedAccount      *account `json:"linkedAccount"`
		ProductDestination string   `json:"productDestinationId"`
	}
	address struct{ GivenName, FamilyName, RegionCode, PostalCode string }
	userID  struct {
		EmailAddress, PhoneNumber string
		Address                   *address
	}
	userData struct{ UserIdentifiers []userID }
	member   struct {
		DestinationReferences []string
		UserData              *userData
		MobileData            *struct{ MobileIDs []string } `json:"mobileData"`
		UserIDData            *struct{ UserID string }      `json:"userIdData"`
		PairData, PpidData    *struct{}
	}
)

// emptyHash is the SHA-256 of nothing.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// maxIdentifiers is the most identifiers of one member or event, and the most
// destinations (data-manager/api/devguides/limits).
const maxIdentifiers = 10

var (
	hash     = regexp.MustCompile(`^[0-9a-f]{64}$`)
	digits   = regexp.MustCompile(`^[0-9]{1,20}$`)
	region   = regexp.MustCompile(`^[A-Z]{2}$`)
	usPostal = regexp.MustCompile(`^[0-9]{5}(?:-?[0-9]{4})?$`)
	device   = regexp.MustCompile(`^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
)

// judgment gathers what is wrong with a request.
type judgment struct {
	encoding string
	wrong    []Violation
}

func (j *judgment) blame(field, reason, description string) {
	j.wrong = append(j.wrong, violation(field, reason, description))
}

// digest checks a hash and returns it in lower-case hexadecimal.
func (j *judgment) digest(field, text string) string {
	var sum string
	switch j.encoding {
	case "HEX":
		sum = strings.ToLower(text)
		if _, err := hex.DecodeString(sum); err != nil {
			j.blame(field, "INVALID_HEX_ENCODING", "The value is not hexadecimal.")
			return ""
		}
	case "BASE64":
		raw, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			j.blame(field, "INVALID_BASE64_ENCODING", "The value is not base64.")
			return ""
		}
		sum = hex.EncodeToString(raw)
	default:
		return "" // told of the request already
	}
	if !hash.MatchString(sum) || sum == emptyHash {
		j.blame(field, "INVALID_SHA256_FORMAT", "The value is no SHA-256 of anything.")
		return ""
	}
	return sum
}

// userData checks the identifiers of one person and returns them.
func (j *judgment) userData(field string, d *userData) []identifier {
	if len(d.UserIdentifiers) > maxIdentifiers {
		j.blame(field+".user_identifiers", "TOO_MANY_USER_IDENTIFIERS", "The person has more than 10 identifiers.")
		return nil
	}
	var ids []identifier
	for i, u := range d.UserIdentifiers {
		here := at(field+".user_identifiers", i)
		switch {
		case u.EmailAddress != "":
			ids = append(ids, identifier{"emailAddress", j.digest(here+".email_address", u.EmailAddress)})
		case u.PhoneNumber != "":
			ids = append(ids, identifier{"phoneNumber", j.digest(here+".phone_number", u.PhoneNumber)})
		case u.Address != nil:
			ids = append(ids, identifier{"address", j.address(here+".address", u.Address)})
		default:
			j.blame(here, "REQUIRED_FIELD_MISSING", "The field is needed.")
		}
	}
	return ids
}

func (j *judgment) address(field string, a *address) string {
	given, family := j.digest(field+".given_name", a.GivenName), j.digest(field+".family_name", a.FamilyName)
	if !region.MatchString(a.RegionCode) {
		j.blame(field+".region_code", "INVALID_REGION_CODE", "The region must be two capital letters.")
	}
	if code := strings.TrimSpace(a.PostalCode); code == "" || code != a.PostalCode || a.RegionCode == "US" && !usPostal.MatchString(code) {
		j.blame(field+".postal_code", "INVALID_POSTAL_CODE", "The postal code does not fit its region.")
	}
	return strings.Join([]string{given, family, a.RegionCode, a.PostalCode}, " ")
}

// kind is the upload key type that a member's data is for, "" where it has none
// that advertisers may send.
func (m member) kind() string {
	switch {
	case m.UserData != nil:
		return "CONTACT_ID"
	case m.MobileData != nil:
		return "MOBILE_ID"
	case m.UserIDData != nil:
		return "USER_ID"
	}
	return ""
}

// member checks one member and returns its identifiers.
func (j *judgment) member(field string, m member) []identifier {
	switch m.kind() {
	case "CONTACT_ID":
		return j.userData(field+".user_data", m.UserData)
	case "MOBILE_ID":
		if len(m.MobileData.MobileIDs) > maxIdentifiers {
			j.blame(field+".mobile_data.mobile_ids", "TOO_MANY_USER_IDENTIFIERS", "The person has more than 10 mobile ids.")
			return nil
		}
		var ids []identifier
		for i, id := range m.MobileData.MobileIDs {
			if !device.MatchString(id) {
				j.blame(at(field+".mobile_data.mobile_ids", i), "INVALID_MOBILE_ID_FORMAT", "The mobile id is no UUID.")
			}
			ids = append(ids, identifier{"mobileId", strings.ToLower(id)})
		}
		return ids
	case "USER_ID":
		return []identifier{{"userId", m.UserIDData.UserID}}
	}
	j.blame(field, "INVALID_AUDIENCE_MEMBER", "The member has no data of a kind that is taken.")
	return nil
}
