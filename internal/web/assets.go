package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"sync"
)

//go:embed assets templates
var files embed.FS

// assetHashes has the first bytes of the SHA-256 of every asset, by path, so
// that an address names its content and may be cached for good.
var assetHashes = sync.OnceValue(func() map[string]string {
	hashes := map[string]string{}
	err := fs.WalkDir(files, "assets", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := files.ReadFile(path)
		sum := sha256.Sum256(raw)
		hashes[path[len("assets/"):]] = hex.EncodeToString(sum[:6])
		return err
	})
	if err != nil {
		panic(err) // the directory is embedded
	}
	return hashes
})

// asset is the address of an asset: its path and the hash of its content.
func asset(path string) string { return "/assets/" + path + "?v=" + assetHashes()[path] }

// assetHandler serves the embedded files. What is asked for by its hash is kept
// by the browser for a year; the rest (fonts named in the style sheet) for a day.
func assetHandler() http.Handler {
	sub, err := fs.Sub(files, "assets")
	if err != nil {
		panic(err) // the directory is embedded
	}
	server := http.FileServerFS(sub)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hash, known := assetHashes()[r.URL.Path]
		if !known {
			http.NotFound(w, r)
			return
		}
		secure(w)
		w.Header().Set("Cache-Control", "public, max-age=86400")
		if r.URL.Query().Get("v") == hash {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		server.ServeHTTP(w, r)
	})
}
