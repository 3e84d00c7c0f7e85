// Package toolsdir says where scripts/tools has put the programs that tests start.
package toolsdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
)

// Find returns the path of a program below the folder .tools, or the one that
// SAGUAROTA_TOOLS names.
func Find(path string) (string, error) {
	tools := os.Getenv("SAGUAROTA_TOOLS")
	if tools == "" {
		_, file, _, ok := runtime.Caller(0)
		if !ok {
			return "", errors.New("this program does not know its own source")
		}
		tools = filepath.Join(filepath.Dir(file), "..", "..", "..", ".tools")
	}
	program := filepath.Join(tools, filepath.FromSlash(path))
	if _, err := os.Stat(program); err != nil {
		return "", fmt.Errorf("%w; type \"make services\", which gets it", err)
	}
	return program, nil
}
