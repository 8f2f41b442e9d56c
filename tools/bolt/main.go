// Writes a bbolt database, the format of Trivy's vulnerability database, from a JSON file: a list of
// entries, each with the names of its nested buckets, a key and a value. Arguments: both files.
package main

import (
	"encoding/json"
	"log"
	"os"

	"go.etcd.io/bbolt"
)

type entry struct {
	Buckets []string        `json:"buckets"`
	Key     string          `json:"key"`
	Value   json.RawMessage `json:"value"`
}

func put(tx *bbolt.Tx, e entry) error {
	bucket, err := tx.CreateBucketIfNotExists([]byte(e.Buckets[0]))
	for _, name := range e.Buckets[1:] {
		if err != nil {
			return err
		}
		bucket, err = bucket.CreateBucketIfNotExists([]byte(name))
	}
	if err != nil {
		return err
	}
	return bucket.Put([]byte(e.Key), e.Value)
}

func main() {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var entries []entry
	if err := json.Unmarshal(text, &entries); err != nil {
		log.Fatal(err)
	}
	db, err := bbolt.Open(os.Args[2], 0o644, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	for _, e := range entries {
		if err := db.Update(func(tx *bbolt.Tx) error { return put(tx, e) }); err != nil {
			log.Fatal(err)
		}
	}
}
