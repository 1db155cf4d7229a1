package duckdb

import "slices"

// cutter cuts components that are too large. Values are numbers in the order in
// which they are taken; it is told of the links between them in the order of
// the later value. It takes eight bytes a value.
type cutter struct {
	most   int
	parent []int32
	size   []int32 // of the people whose root it is; 0 = capped
	taken  int     // the value being taken
	joins  []int32 // the people it would join
	joint  int     // how many values it and they have
}

func newCutter(values, most int) *cutter {
	c := &cutter{most: most, parent: make([]int32, values), size: make([]int32, values), joint: 1}
	for i := range c.parent {
		c.parent[i], c.size[i] = int32(i), 1
	}
	return c
}

// link says that a message carries both values.
func (c *cutter) link(later, earlier int) {
	if later != c.taken {
		c.take()
		c.taken, c.joins, c.joint = later, c.joins[:0], 1
	}
	root := c.root(int32(earlier))
	if c.size[root] == 0 || c.joint > c.most || slices.Contains(c.joins, root) {
		return
	}
	c.joins = append(c.joins, root)
	c.joint += int(c.size[root])
}

// take joins the value being taken to its people, or caps it.
func (c *cutter) take() {
	v := int32(c.taken)
	if c.joint > c.most {
		c.size[v] = 0
		return
	}
	for _, root := range c.joins {
		c.parent[root] = v
		c.size[v] += c.size[root]
	}
}

// root finds the people of a value, halving the way there.
func (c *cutter) root(v int32) int32 {
	for c.parent[v] != v {
		c.parent[v] = c.parent[c.parent[v]]
		v = c.parent[v]
	}
	return v
}

// finish takes the last value and returns those that are capped.
func (c *cutter) finish() []int {
	c.take()
	var capped []int
	for v, n := range c.size {
		if n == 0 {
			capped = append(capped, v)
		}
	}
	return capped
}
