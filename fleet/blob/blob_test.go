package blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/cactuscon/saguarota/fleet/blob"
	"github.com/cactuscon/saguarota/fleet/internal/s3test"
)

func TestMain(m *testing.M) { os.Exit(s3test.Main(m)) }

// damage replaces what is stored under a blob's name, behind the store's back.
type damage func(t *testing.T, sum blob.Sum, content []byte)

// stores make an empty store of either kind.
var stores = map[string]func(t *testing.T) (blob.Store, damage){
	"folder": func(t *testing.T) (blob.Store, damage) {
		dir := filepath.Join(t.TempDir(), "blobs")
		s, err := blob.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s, func(t *testing.T, sum blob.Sum, content []byte) {
			if err := os.WriteFile(filepath.Join(dir, sum.String()[:2], sum.String()), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	},
	"S3": func(t *testing.T) (blob.Store, damage) {
		server := s3test.New(t)
		s, err := blob.Open("s3://" + server.Bucket + "/a/prefix?region=us-east-1&endpoint=" + url.QueryEscape(server.URL))
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		client, err := minio.New(u.Host, &minio.Options{Region: "us-east-1", Creds: credentials.NewStaticV4(s3test.Key, s3test.Secret, "")})
		if err != nil {
			t.Fatal(err)
		}
		return s, func(t *testing.T, sum blob.Sum, content []byte) {
			key := "a/prefix/" + sum.String()[:2] + "/" + sum.String()
			if _, err := client.PutObject(t.Context(), server.Bucket, key, bytes.NewReader(content), int64(len(content)), minio.PutObjectOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	},
}

// each runs a test for every kind of store.
func each(t *testing.T, test func(t *testing.T, s blob.Store, d damage)) {
	for name, fresh := range stores {
		t.Run(name, func(t *testing.T) {
			t.Setenv("AWS_ACCESS_KEY_ID", s3test.Key)
			t.Setenv("AWS_SECRET_ACCESS_KEY", s3test.Secret)
			s, d := fresh(t)
			if err := s.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			test(t, s, d)
		})
	}
}

func put(t *testing.T, s blob.Store, content []byte) blob.Sum {
	t.Helper()
	sum := blob.SumOf(content)
	if err := s.Put(t.Context(), sum, int64(len(content)), bytes.NewReader(content)); err != nil {
		t.Fatal(err)
	}
	return sum
}

// random returns n bytes that are always the same.
func random(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // it never fails
	return data
}

func TestPutAndGet(t *testing.T) {
	each(t, func(t *testing.T, s blob.Store, _ damage) {
		for _, content := range [][]byte{{}, []byte("x"), random(100_000), random(20 << 20)} {
			sum := put(t, s, content)
			put(t, s, content) // again
			got, err := blob.Get(t.Context(), s, sum, int64(len(content)))
			if err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes: got %d, %v", len(content), len(got), err)
			}
			if err := blob.Verify(t.Context(), s, sum); err != nil {
				t.Errorf("%d bytes: %v", len(content), err)
			}
		}
	})
}

func TestSeek(t *testing.T) {
	each(t, func(t *testing.T, s blob.Store, _ damage) {
		content := random(300_000)
		r, size, err := s.Open(t.Context(), put(t, s, content))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if size != int64(len(content)) {
			t.Errorf("the size is %d", size)
		}
		for _, at := range []int64{0, 299_999, 1000, 300_000} {
			if _, err := r.Seek(at, io.SeekStart); err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(r)
			if err != nil || !bytes.Equal(got, content[at:]) {
				t.Errorf("from %d: %d bytes, %v", at, len(got), err)
			}
		}
	})
}

func TestMissing(t *testing.T) {
	each(t, func(t *testing.T, s blob.Store, _ damage) {
		sum := blob.SumOf([]byte("nowhere"))
		if _, _, err := s.Open(t.Context(), sum); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open: %v", err)
		}
		if _, err := blob.Get(t.Context(), s, sum, 100); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("get: %v", err)
		}
		if err := s.Delete(t.Context(), sum); err != nil {
			t.Errorf("delete: %v", err)
		}
	})
}

func TestDelete(t *testing.T) {
	each(t, func(t *testing.T, s blob.Store, _ damage) {
		gone, stays := put(t, s, []byte("gone")), put(t, s, []byte("stays"))
		if err := s.Delete(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Open(t.Context(), gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("what is deleted: %v", err)
		}
		if err := blob.Verify(t.Context(), s, stays); err != nil {
			t.Errorf("what is not: %v", err)
		}
	})
}

// Nothing that is not right is ever stored, and nothing of it is left.
func TestPutRefuses(t *testing.T) {
	content := random(50_000)
	sum := blob.SumOf(content)
	broken := errors.New("the line is down")
	each(t, func(t *testing.T, s blob.Store, _ damage) {
		for name, c := range map[string]struct {
			size int64
			r    io.Reader
			want error
		}{
			"other content":     {50_000, bytes.NewReader(random(50_001)[1:]), blob.ErrContent},
			"ends early":        {50_000, bytes.NewReader(content[:49_999]), blob.ErrContent},
			"goes on":           {50_000, io.MultiReader(bytes.NewReader(content), strings.NewReader("x")), blob.ErrContent},
			"another size":      {49_999, bytes.NewReader(content), blob.ErrContent},
			"nothing":           {0, bytes.NewReader(nil), blob.ErrContent},
			"none, but some":    {0, bytes.NewReader(content), blob.ErrContent},
			"breaks":            {50_000, io.MultiReader(bytes.NewReader(content[:20_000]), iotest.ErrReader(broken)), broken},
			"breaks at the end": {50_000, io.MultiReader(bytes.NewReader(content), iotest.ErrReader(broken)), broken},
		} {
			if err := s.Put(t.Context(), sum, c.size, c.r); !errors.Is(err, c.want) {
				t.Errorf("%s: %v, want %v", name, err, c.want)
			}
			if _, _, err := s.Open(t.Context(), sum); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: it is there: %v", name, err)
			}
		}
		if f, ok := s.(*blob.Folder); ok {
			if left, err := os.ReadDir(filepath.Join(f.String(), "tmp")); err != nil || len(left) != 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Put(ctx, sum, 50_000, bytes.NewReader(content)); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
	})
}

func TestDamage(t *testing.T) {
	content := random(1000)
	flipped := bytes.Clone(content)
	flipped[500] ^= 1
	each(t, func(t *testing.T, s blob.Store, d damage) {
		sum := put(t, s, content)
		for name, bad := range map[string][]byte{"flipped": flipped, "cut": content[:999], "longer": append(bytes.Clone(content), 0), "empty": {}} {
			d(t, sum, bad)
			if _, err := blob.Get(t.Context(), s, sum, 2000); !errors.Is(err, blob.ErrContent) {
				t.Errorf("%s: get: %v", name, err)
			}
			if err := blob.Verify(t.Context(), s, sum); !errors.Is(err, blob.ErrContent) {
				t.Errorf("%s: verify: %v", name, err)
			}
			put(t, s, content) // as publishing again does
			if got, err := blob.Get(t.Context(), s, sum, 1000); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%s: mended: %v", name, err)
			}
		}
		if _, err := blob.Get(t.Context(), s, sum, 999); !errors.Is(err, blob.ErrContent) {
			t.Errorf("longer than allowed: %v", err)
		}
	})
}

// Servers that publish the same at the same time do not get into each other's way.
func TestPutAtOnce(t *testing.T) {
	content := random(200_000)
	each(t, func(t *testing.T, s blob.Store, _ damage) {
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if err := s.Put(t.Context(), blob.SumOf(content), int64(len(content)), bytes.NewReader(content)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if err := blob.Verify(t.Context(), s, blob.SumOf(content)); err != nil {
			t.Error(err)
		}
	})
}

func TestSums(t *testing.T) {
	sum := blob.SumOf(nil)
	if want := "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"; sum.String() != want {
		t.Errorf("the sum of nothing is %v", sum)
	}
	if got, err := blob.ParseSum(sum.String()); got != sum || err != nil {
		t.Errorf("read again it is %v, %v", got, err)
	}
	for _, text := range []string{"", "e3", sum.String()[1:], strings.ToUpper(sum.String()), strings.Repeat("x", 64), "../" + sum.String()[3:]} {
		if _, err := blob.ParseSum(text); err == nil {
			t.Errorf("%q is a sum", text)
		}
	}
}

// What is mistyped is not taken for a folder, and no message has a key.
func TestOpenErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	for where, want := range map[string]string{
		"s3://":                                           "not a URL s3://BUCKET/PREFIX",
		"s3:/bucket":                                      "neither a URL s3://BUCKET/PREFIX nor the name of a folder",
		"s3:key:secret@bucket":                            "neither a URL s3://BUCKET/PREFIX nor the name of a folder",
		"S3:/bucket":                                      "neither a URL s3://BUCKET/PREFIX nor the name of a folder",
		"gs://key:secret@bucket":                          "neither a URL s3://BUCKET/PREFIX nor the name of a folder",
		"https://key:secret@bucket":                       "neither a URL s3://BUCKET/PREFIX nor the name of a folder",
		"s3://key:secret@bucket":                          "set AWS_ACCESS_KEY_ID",
		"S3://key:secret@bucket":                          "set AWS_ACCESS_KEY_ID",
		"s3://key:secret@bu%zzcket":                       "not a URL s3://BUCKET/PREFIX",
		"s3://bucket?endpoint=nope":                       "the endpoint is not a URL",
		"s3://bucket?endpoint=ftp://nope":                 "the endpoint is not a URL",
		"s3://bucket?endpoint=https://nope/path":          "the endpoint is not a URL",
		"s3://bucket?endpoint=http://user:secret@host":    "the endpoint is not a URL",
		"s3://bucket?endpoint=http%3A%2F%2Fu:secret@host": "the endpoint is not a URL",
		"s3://bucket?endpoint=http://u:secret%zz@host":    "not a URL s3://BUCKET/PREFIX?endpoint=URL",
		"s3://bucket?endpoint=http://u:x#secret@host":     "not a URL s3://BUCKET/PREFIX",
		"s3://bucket?endpoint=http://host?token=secret":   "the endpoint is not a URL",
		"s3:///bucket?endpoint=http://u:secret@host":      "not a URL s3://BUCKET/PREFIX",
		"s3://bucket?endpont=https://u:secret@host":       `no option "endpont"`,
		filepath.Join(t.TempDir(), "\x00"):                "open the blobs",
	} {
		if s, err := blob.Open(where); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, %v; want %q", where, s, err, want)
		}
	}
	left, err := os.ReadDir(".")
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	s, err := blob.Open("S3://bucket/a?region=x&endpoint=https://example.org")
	if err != nil || s.String() != "s3://bucket/a?endpoint=https://example.org&region=x" {
		t.Errorf("%v, %v", s, err)
	}
}
