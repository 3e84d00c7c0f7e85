package main

import (
	"bytes"
	"path/filepath"
	"testing"
)

func TestInspectedPackTellsOfNames(t *testing.T) {
	file := filepath.Join("..", "..", "testdata", "vectors", "packs", "module.pack")
	shown, err := lookAtPack(t.Context(), file, "")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	shown.write(&b)
	if !bytes.Contains(b.Bytes(), []byte(" new, names move in ")) {
		t.Errorf("nothing about names in\n%s", &b)
	}
}
