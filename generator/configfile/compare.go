package configfile

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
)

// The functions here replace those of text/template, which compare any amount of text
// without spending the budget.

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
func (b *Budget) ordered(holds func(int) bool) func(x, y any) (bool, error) {
	return func(x, y any) (bool, error) {
		c, err := b.compare(x, y)
		return err == nil && holds(c), err
	}
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
	return 0, fmt.Errorf("%T and %T can't be compared: two texts can, or two whole numbers", x, y)
}

// index looks a value up in maps and lists, one in the other.
func (b *Budget) index(in any, keys ...any) (any, error) {
	for _, key := range keys {
		if text, ok := key.(string); ok {
			if err := b.spend(len(text)); err != nil {
				return nil, err
			}
		}
		v, k := reflect.ValueOf(in), reflect.ValueOf(key)
		switch i, isNumber := key.(int); {
		case v.Kind() == reflect.Map && k.IsValid() && k.Type().AssignableTo(v.Type().Key()):
			found := v.MapIndex(k)
			if !found.IsValid() {
				found = reflect.Zero(v.Type().Elem())
			}
			in = found.Interface()
		case v.Kind() == reflect.Slice && isNumber && i >= 0 && i < v.Len():
			in = v.Index(i).Interface()
		default:
			return nil, fmt.Errorf("%v is no key of a map, nor the number of something in a list", key)
		}
	}
	return in, nil
}
