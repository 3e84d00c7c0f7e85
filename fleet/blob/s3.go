package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// An S3 keeps blobs in a bucket.
type S3 struct {
	client *minio.Client
	bucket string
	prefix string
	where  string
}

// roleTimeout is how long a machine may take to say which role it has: it is asked
// where there is no key anywhere else, and most machines have none.
const roleTimeout = 5 * time.Second

// OpenS3 returns the store at a URL
//
//	s3://BUCKET[/PREFIX][?endpoint=https://HOST[:PORT]][&region=REGION]
//
// The endpoint is Amazon's if it is not given; http:// is for a network that needs
// no encryption. The key comes from where programs for S3 look for it: the
// environment variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the file
// ~/.aws/credentials, the machine's role. It is not part of the URL, which ends up
// in lists of processes and in logs.
//
// Nothing is asked for yet; Ping does that.
func OpenS3(where string) (*S3, error) {
	s, err := openS3(where)
	if err != nil {
		return nil, fmt.Errorf("open the blobs: %w", err)
	}
	return s, nil
}

func openS3(where string) (*S3, error) {
	u, err := url.Parse(where)
	if err != nil {
		return nil, errors.New("not a URL s3://BUCKET/PREFIX") // without the text, which may hold a key
	}
	if u.User != nil {
		return nil, errors.New("the key is not part of the URL; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	where = shown(u)
	if u.Scheme != "s3" || u.Host == "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not a URL s3://BUCKET/PREFIX", where)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%q is not a URL s3://BUCKET/PREFIX?endpoint=URL", where)
	}
	for key := range query {
		if key != "endpoint" && key != "region" {
			return nil, fmt.Errorf("%s: there is no option %q; there are endpoint and region", where, key)
		}
	}
	endpoint, err := url.Parse(query.Get("endpoint"))
	if query.Get("endpoint") == "" {
		endpoint, err = url.Parse("https://s3.amazonaws.com")
	}
	if err != nil || endpoint.Scheme != "https" && endpoint.Scheme != "http" || endpoint.Host == "" || endpoint.User != nil || endpoint.RawQuery != "" || strings.Trim(endpoint.Path, "/") != "" {
		return nil, fmt.Errorf("%s: the endpoint is not a URL https://HOST:PORT", where)
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Secure: endpoint.Scheme == "https",
		Region: query.Get("region"),
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: &http.Client{Timeout: roleTimeout}},
		}),
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", where, err)
	}
	return &S3{client, u.Host, strings.Trim(u.Path, "/"), where}, nil
}

// shown returns what messages show of the URL: without anything that may be a key, also
// where it is not as it should be.
func shown(u *url.URL) string {
	s := u.Scheme + "://" + u.Host + u.EscapedPath()
	query := u.Query()
	var parts []string
	for _, name := range []string{"endpoint", "region"} {
		if !query.Has(name) {
			continue
		}
		value := query.Get(name)
		if e, err := url.Parse(value); name == "endpoint" && (err != nil || e.Host == "" || e.User != nil) {
			value = "…"
		} else if name == "endpoint" {
			value = (&url.URL{Scheme: e.Scheme, Host: e.Host, Path: e.Path}).String()
		}
		parts = append(parts, name+"="+value)
	}
	if len(parts) > 0 {
		s += "?" + strings.Join(parts, "&")
	}
	return s
}

// Redacted returns where, of which Open makes a store, without anything that may be a key.
func Redacted(where string) string {
	scheme := begin.FindString(where)
	if scheme == "" {
		return where
	}
	u, err := url.Parse(where)
	if err != nil || !strings.HasPrefix(where[len(scheme):], "//") {
		return scheme + "…"
	}
	return shown(u)
}

// String implements Store.
func (s *S3) String() string { return s.where }

func (s *S3) key(sum Sum) string {
	name := sum.String()
	return path.Join(s.prefix, name[:2], name)
}

// Put implements Store.
func (s *S3) Put(ctx context.Context, sum Sum, size int64, r io.Reader) error {
	there, err := isThere(ctx, s, sum, size)
	if err == nil && !there {
		err = s.put(ctx, sum, size, verify(r, sum, size))
	}
	if err != nil {
		return fmt.Errorf("store the blob %v in %s: %w", sum, s.where, err)
	}
	return nil
}

// put stores what a verified reader delivers: that fails before its last byte if
// the content is not right, so the bucket never gets the whole of what is wrong.
func (s *S3) put(ctx context.Context, sum Sum, size int64, verified io.Reader) error {
	if size == 0 {
		// Then the client would not read, and there is no last byte.
		if _, err := verified.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			return err
		}
	}
	_, err := s.client.PutObject(ctx, s.bucket, s.key(sum), verified, size, minio.PutObjectOptions{ContentType: "application/octet-stream"})
	return err
}

// Open implements Store.
func (s *S3) Open(ctx context.Context, sum Sum) (io.ReadSeekCloser, int64, error) {
	object, err := s.client.GetObject(ctx, s.bucket, s.key(sum), minio.GetObjectOptions{})
	if err != nil {
		return nil, 0, fmt.Errorf("open the blob %v of %s: %w", sum, s.where, err)
	}
	info, err := object.Stat()
	if err != nil {
		_ = object.Close() // it was never opened
		if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
			err = fs.ErrNotExist
		}
		return nil, 0, fmt.Errorf("open the blob %v of %s: %w", sum, s.where, err)
	}
	return object, info.Size, nil
}

// Delete implements Store.
func (s *S3) Delete(ctx context.Context, sum Sum) error {
	if err := s.client.RemoveObject(ctx, s.bucket, s.key(sum), minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("delete the blob %v of %s: %w", sum, s.where, err)
	}
	return nil
}

// Ping implements Store.
func (s *S3) Ping(ctx context.Context) error {
	there, err := s.client.BucketExists(ctx, s.bucket)
	if err != nil {
		return fmt.Errorf("ask %s: %w", s.where, err)
	}
	if !there {
		return fmt.Errorf("ask %s: there is no bucket %s", s.where, s.bucket)
	}
	return nil
}
