package google

import (
	"bytes"
	"compress/gzip"
	_ "embed" // the definitions are part of the binary
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

//go:embed protos/datamanager.binpb.gz
var packed []byte

//go:embed protos/googleads.binpb.gz
var packedAds []byte

// definitions are Google's own (protos/NOTICE.md): those of the Data Manager API, and
// adsDefinitions those of the Google Ads API.
var (
	definitions    = sync.OnceValues(func() (*protoregistry.Files, error) { return unpack(packed) })
	adsDefinitions = sync.OnceValues(func() (*protoregistry.Files, error) { return unpack(packedAds) })
)

func unpack(packed []byte) (*protoregistry.Files, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("unpack the definitions: %w", err)
	}
	raw, err := io.ReadAll(io.LimitReader(z, 1<<20))
	if err != nil {
		return nil, fmt.Errorf("unpack the definitions: %w", err)
	}
	set := &descriptorpb.FileDescriptorSet{}
	if err := proto.Unmarshal(raw, set); err != nil {
		return nil, fmt.Errorf("read the definitions: %w", err)
	}
	return protodesc.NewFiles(set)
}

// Judge reads text as the named message of google.ads.datamanager.v1, strictly,
// and returns it in canonical JSON. Violations are required fields that are
// missing and fields that only Google sets.
func Judge(message string, text []byte) (canonical []byte, wrong []Violation, err error) {
	files, err := definitions()
	if err != nil {
		return nil, nil, err
	}
	d, err := files.FindDescriptorByName(protoreflect.FullName("google.ads.datamanager.v1." + message))
	if err != nil {
		return nil, nil, err
	}
	descriptor, ok := d.(protoreflect.MessageDescriptor)
	if !ok {
		return nil, nil, fmt.Errorf("%s is no message", message)
	}
	if !json.Valid(text) {
		return nil, nil, fmt.Errorf("the body is no JSON")
	}
	m := dynamicpb.NewMessage(descriptor)
	if err := protojson.Unmarshal(text, m); err != nil {
		return nil, nil, err
	}
	wrong = behave(m, "")
	canonical, err = protojson.Marshal(m)
	return canonical, wrong, err
}

// The values of google.api.FieldBehavior that a request can break, and the number
// of that option.
const (
	behaviorOption     = 1052
	behaviorRequired   = 2
	behaviorOutputOnly = 3
	behaviorImmutable  = 5
)

// behave looks for fields of m that are missing or not the caller's to set.
func behave(m protoreflect.Message, path string) []Violation {
	var wrong []Violation
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		rules, at := behaviors(f), join(path, string(f.Name()))
		has := m.Has(f)
		switch {
		case slices.Contains(rules, behaviorRequired) && !has:
			wrong = append(wrong, Violation{Field: at, Reason: "REQUIRED_FIELD_MISSING", Description: "The field is needed."})
		case slices.Contains(rules, behaviorOutputOnly) && has:
			wrong = append(wrong, Violation{Field: at, Reason: "INVALID_ARGUMENT", Description: "The field is output only."})
		case has && f.IsList() && f.Message() != nil:
			list := m.Get(f).List()
			for j := range list.Len() {
				wrong = append(wrong, behave(list.Get(j).Message(), fmt.Sprintf("%s[%d]", at, j))...)
			}
		case has && f.Message() != nil && !f.IsMap():
			wrong = append(wrong, behave(m.Get(f).Message(), at)...)
		}
	}
	return wrong
}

var (
	behaviorMu   sync.Mutex
	behaviorsFor = map[protoreflect.FullName][]uint64{}
)

// behaviors reads the field_behavior option of a field. Its extension is not
// registered, so it is found among the unknown fields.
func behaviors(f protoreflect.FieldDescriptor) []uint64 {
	behaviorMu.Lock()
	defer behaviorMu.Unlock()
	if found, ok := behaviorsFor[f.FullName()]; ok {
		return found
	}
	var found []uint64
	raw := f.Options().ProtoReflect().GetUnknown()
	for len(raw) > 0 {
		number, kind, size := protowire.ConsumeTag(raw)
		value := raw[max(size, 0):]
		switch {
		case size < 0:
			return nil
		case number == behaviorOption && kind == protowire.VarintType:
			v, _ := protowire.ConsumeVarint(value)
			found = append(found, v)
		case number == behaviorOption && kind == protowire.BytesType:
			for list, _ := protowire.ConsumeBytes(value); len(list) > 0; {
				v, n := protowire.ConsumeVarint(list)
				found, list = append(found, v), list[max(n, 1):]
			}
		}
		rest := protowire.ConsumeFieldValue(number, kind, value)
		if rest < 0 {
			break
		}
		raw = value[rest:]
	}
	behaviorsFor[f.FullName()] = found
	return found
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
