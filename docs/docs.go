// Package docs holds the pages of this folder that the program itself shows:
// what to do about each class of error. It owns no text beside the pages.
package docs

import "embed"

// Troubleshooting has one page per class of error code, below troubleshooting/.
//
//go:embed troubleshooting/*.md
var Troubleshooting embed.FS
