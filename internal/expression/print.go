package expression

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// String returns the canonical text of the expression: parsing it gives the
// same tree again, and equal trees have equal texts.
func (e *Expr) String() string { return print(e.root) }

func print(n *node) string {
	switch n.kind {
	case textNode:
		return `"` + quoteReplacer.Replace(n.text) + `"`
	case numberNode:
		return strconv.FormatFloat(n.number, 'f', -1, 64)
	case booleanNode:
		return strconv.FormatBool(n.truth)
	case columnNode:
		return printColumn(n.text)
	}
	switch {
	case n.text == "neg":
		return "-" + operand(n.args[0], unaryLevel)
	case n.text == "not":
		return "not " + operand(n.args[0], notLevel+1)
	case isOperator(n.text):
		return printInfix(n)
	}
	args := make([]string, len(n.args))
	for i, a := range n.args {
		args[i] = print(a)
	}
	return n.text + "(" + strings.Join(args, ", ") + ")"
}

func printInfix(n *node) string {
	level := levelOf(n)
	left := level // operators of a level group from the left
	if level == comparisonLevel {
		left++
	}
	return operand(n.args[0], left) + " " + n.text + " " + operand(n.args[1], level+1)
}

// operand prints a node where only operators from this level on may stand bare.
func operand(n *node, level int) string {
	s := print(n)
	if levelOf(n) >= level {
		return s
	}
	return "(" + s + ")"
}

// levelOf returns how tightly the node binds.
func levelOf(n *node) int {
	switch {
	case n.kind == callNode && n.text == "not":
		return notLevel + 1
	case n.kind == callNode && n.text == "neg", n.kind == numberNode && n.number < 0:
		return unaryLevel
	case n.kind == callNode && isOperator(n.text):
		for level, ops := range levels {
			for _, op := range ops {
				if op == n.text {
					return level
				}
			}
		}
	}
	return unaryLevel + 1
}

// isOperator reports whether the call is written between its operands.
func isOperator(name string) bool {
	for _, ops := range levels {
		for _, op := range ops {
			if op == name {
				return true
			}
		}
	}
	return false
}

var quoteReplacer = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\t", `\t`, "\r", `\r`)

func printColumn(s string) string {
	if first, _ := utf8.DecodeRuneInString(s); isWordStart(first) && wordLen(s) == len(s) && !isKeyword(s) {
		return s
	}
	return "`" + strings.ReplaceAll(s, "`", "``") + "`"
}
