package configfile

import (
	"cmp"
	"errors"
	"fmt"
)

// The values of a template are texts, numbers, truth values, maps with texts as keys, lists of maps, and nil.

// isTrue reports whether a value counts as true: one that is neither empty nor zero.
func isTrue(value any) bool {
	switch v := value.(type) {
	case nil:
		return false
	case bool:
		return v
	case int:
		return v != 0
	case float64:
		return v != 0
	case complex128:
		return v != 0
	}
	n, _ := length(value)
	return n > 0
}

// kindOf is what a value is, for a message.
func kindOf(value any) string {
	switch value.(type) {
	case nil:
		return "nothing"
	case string:
		return "a text"
	case int:
		return "a whole number"
	case float64, complex128:
		return "a number"
	case bool:
		return "a truth value"
	case []map[string]any:
		return "a list"
	}
	return "a map"
}

// length is the number of bytes of a text, and of the elements of a list or a map.
func length(value any) (int, error) {
	switch v := value.(type) {
	case string:
		return len(v), nil
	case []map[string]any:
		return len(v), nil
	case map[string]string:
		return len(v), nil
	case map[string]any:
		return len(v), nil
	}
	return 0, fmt.Errorf("%s has no length", kindOf(value))
}

// entry is the value of a key of a map, empty if the map lacks it.
func entry(of any, key string) (value any, isThere, isMap bool) {
	switch m := of.(type) {
	case map[string]string:
		value, isThere = m[key]
	case map[string]any:
		value, isThere = m[key]
	default:
		return nil, false, false
	}
	return value, isThere, true
}

// slice is a part of a text or a list.
func slice(value any, bounds []any) (any, error) {
	whole, err := length(value)
	if err != nil {
		return nil, err
	}
	from := []int{0, whole}
	for i, bound := range bounds {
		n, isNumber := bound.(int)
		if !isNumber || i > 1 || n < 0 || n > whole {
			return nil, fmt.Errorf("%v is no end of a part of %d", bound, whole)
		}
		from[i] = n
	}
	if from[0] > from[1] {
		return nil, fmt.Errorf("a part can't begin at %d and end at %d", from[0], from[1])
	}
	switch v := value.(type) {
	case string:
		return v[from[0]:from[1]], nil
	case []map[string]any:
		return v[from[0]:from[1]], nil
	}
	return nil, fmt.Errorf("%s has no parts", kindOf(value))
}

// eq reports whether the first value equals one of the others.
func (b *Budget) eq(x any, others ...any) (bool, error) {
	if len(others) == 0 {
		return false, errors.New("eq compares a value with others, and there are none")
	}
	for _, y := range others {
		if is, ok := x.(bool); ok {
			if other, ok := y.(bool); ok && is == other {
				return true, nil
			}
			continue
		}
		switch c, err := b.compare(x, y); {
		case err != nil:
			return false, err
		case c == 0:
			return true, nil
		}
	}
	return false, nil
}

// ordered makes a function of an order.
func (b *Budget) ordered(holds func(int) bool) function {
	return two(func(x, y any) (any, error) {
		c, err := b.compare(x, y)
		return err == nil && holds(c), err
	})
}

// compare orders two texts or two numbers.
func (b *Budget) compare(x, y any) (int, error) {
	switch x := x.(type) {
	case string:
		if y, ok := y.(string); ok {
			return cmp.Compare(x, y), b.spend(min(len(x), len(y)))
		}
	case int:
		if y, ok := y.(int); ok {
			return cmp.Compare(x, y), nil
		}
	}
	return 0, fmt.Errorf("%s and %s can't be compared: two texts can, or two whole numbers", kindOf(x), kindOf(y))
}

// index looks a value up in maps and lists, one in the other. What a map lacks is empty.
func (b *Budget) index(in any, keys ...any) (any, error) {
	for _, key := range keys {
		name, isText := key.(string)
		if err := b.spend(len(name)); err != nil {
			return nil, err
		}
		if value, _, isMap := entry(in, name); isText && isMap {
			in = value
			continue
		}
		i, isNumber := key.(int)
		list, isList := in.([]map[string]any)
		if !isList || !isNumber || i < 0 || i >= len(list) {
			return nil, fmt.Errorf("%v is no key of a map, nor the number of something in a list", key)
		}
		in = list[i]
	}
	return in, nil
}
