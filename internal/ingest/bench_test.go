package ingest

import (
	"bytes"
	"fmt"
	"io"
	"testing"
	"time"
)

// plainCSV is about 16 MB of orders without a quote.
func plainCSV() []byte {
	var b bytes.Buffer
	b.WriteString("OrderDate,StockDate,OrderNumber,ProductKey,CustomerKey,TerritoryKey,OrderLineItem,OrderQuantity\n")
	for i := 0; b.Len() < 16<<20; i++ {
		fmt.Fprintf(&b, "%02d/%02d/2019,9/24/2003,SO%d,%d,%d,%d,1,2\n", i%12+1, i%28+1, 61285+i, 200+i%400, 11000+i%18000, i%10+1)
	}
	return b.Bytes()
}

// quotedCSV is about 16 MB of customers with a quoted value in each row.
func quotedCSV() []byte {
	var b bytes.Buffer
	b.WriteString("CustomerKey,FirstName,EmailAddress,AnnualIncome,Education\n")
	for i := 0; b.Len() < 16<<20; i++ {
		fmt.Fprintf(&b, "%d,NAME%d,name%d@example.com,\"$%d,000 \",Bachelors\n", 11000+i, i%977, i, i%120)
	}
	return b.Bytes()
}

func ndjson() []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < 16<<20; i++ {
		fmt.Fprintf(&b, "{\"customer\":%d,\"email\":\"name%d@example.com\",\"tags\":[\"a\",\"b\"],\"active\":true,\"note\":\"line\\nbreak\"}\n", 11000+i, i)
	}
	return b.Bytes()
}

func benchmarkUpload(b *testing.B, text []byte, r Request) {
	c := NewCollector(CollectorConfig{Schema: &fakeWarehouse{}, Now: func() time.Time { return testNow }})
	r.Stream = "s"
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	scratch := &memoryScratch{}
	scratch.Grow(2 * len(text))
	for b.Loop() {
		r.Body = bytes.NewReader(text)
		u, err := c.prepare(b.Context(), r)
		if err != nil {
			b.Fatal(err)
		}
		u.out = newCanonical(io.Discard)
		u.newScratch = func() (scratchFile, error) { scratch.Reset(); return scratch, nil }
		if err := u.read(b.Context(), r, 1<<30); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCSV(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkUpload(b, plainCSV(), Request{}) })
	b.Run("timed", func(b *testing.B) {
		benchmarkUpload(b, plainCSV(), Request{TimestampField: "OrderDate", DateOrder: "mdy"})
	})
	b.Run("quoted", func(b *testing.B) { benchmarkUpload(b, quotedCSV(), Request{}) })
}

func BenchmarkNDJSON(b *testing.B) {
	b.Run("checked", func(b *testing.B) { benchmarkUpload(b, ndjson(), Request{}) })
}
