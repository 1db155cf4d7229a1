package singer

import (
	"context"
	"errors"

	"usher/internal/activation"
)

// The classes of error; each has a page in docs/troubleshooting.
const (
	// codeSettings: a setting is wrong.
	codeSettings = "SINGER-SETTINGS"
	// codeProgram: the program is not there or can't be started.
	codeProgram = "SINGER-PROGRAM"
	// codeStream: the catalog has no such stream.
	codeStream = "SINGER-STREAM"
	// codeExit: the program ended with an error.
	codeExit = "SINGER-EXIT"
	// codeLimit: the program ran longer than it may, or was told to stop.
	codeLimit = "SINGER-LIMIT"
	// codeOutput: the program prints something that is no Singer message.
	codeOutput = "SINGER-OUTPUT"
)

var (
	errTimeLimit = errors.New("the time limit of the tap is over")
	errClosed    = errors.New("the tap is not needed any more")
)

func invalid(code, field, message string) *activation.Error {
	if field != "" {
		message = field + ": " + message
	}
	return &activation.Error{Kind: activation.Invalid, Code: code, Field: field, Message: message}
}

// stopped is the error of a tap that was ended from outside.
func stopped(ctx context.Context) *activation.Error {
	message := "the tap was stopped before its end"
	if errors.Is(context.Cause(ctx), errTimeLimit) {
		message = "the tap ran longer than its time limit"
	}
	return &activation.Error{Kind: activation.Unavailable, Code: codeLimit, Message: message, Err: context.Cause(ctx)}
}

func internal(message string, err error) *activation.Error {
	return &activation.Error{Kind: activation.Internal, Code: "INTERNAL-019", Message: message, Err: err}
}
