package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strconv"
	"strings"
)

// structType is one struct of the schema, in source order.
type structType struct {
	name, doc string
	fields    []field
}

// field is one key.
type field struct {
	key, doc string
	// typ is the Go type as written, without pointer stars.
	typ string
	tag reflect.StructTag
}

// readTypes reads the schema's structs from their source, comments included.
func readTypes(path string) ([]structType, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	var list []structType
	for _, d := range file.Decls {
		decl, ok := d.(*ast.GenDecl)
		if !ok || decl.Tok != token.TYPE {
			continue
		}
		spec := decl.Specs[0].(*ast.TypeSpec)
		body, ok := spec.Type.(*ast.StructType)
		if !ok {
			continue
		}
		t := structType{name: spec.Name.Name, doc: strings.TrimSpace(decl.Doc.Text())}
		for _, f := range body.Fields.List {
			read, err := readField(f)
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", t.name, f.Names[0].Name, err)
			}
			t.fields = append(t.fields, read)
		}
		list = append(list, t)
	}
	return list, nil
}

func readField(f *ast.Field) (field, error) {
	if f.Tag == nil || f.Doc == nil {
		return field{}, fmt.Errorf("a key needs a tag and a comment")
	}
	raw, err := strconv.Unquote(f.Tag.Value)
	if err != nil {
		return field{}, err
	}
	tag := reflect.StructTag(raw)
	return field{key: tag.Get("key"), doc: strings.TrimSpace(f.Doc.Text()), typ: typeText(f.Type), tag: tag}, nil
}

func typeText(e ast.Expr) string {
	switch t := e.(type) {
	case *ast.Ident:
		return t.Name
	case *ast.StarExpr:
		return typeText(t.X)
	case *ast.ArrayType:
		return "[]" + typeText(t.Elt)
	case *ast.MapType:
		return "map[" + typeText(t.Key) + "]" + typeText(t.Value)
	}
	panic(fmt.Sprintf("a key of type %T", e))
}

// element returns what a list or map holds, and the kind of the container:
// "", "list" or "map".
func element(typ string) (inner, kind string) {
	if rest, ok := strings.CutPrefix(typ, "[]"); ok {
		return rest, "list"
	}
	if rest, ok := strings.CutPrefix(typ, "map[string]"); ok {
		return rest, "map"
	}
	return typ, ""
}

// scalars is the types that are written as one value, and how they read.
var scalars = map[string]string{
	"string": "text", "int": "number", "bool": "true or false",
	"Duration": "duration, such as `90s`, `20m`, `1h30m`, `7d`", "Size": "size, such as `64m` or `4g`",
	"Mode": "permissions in octal, such as `\"0400\"`", "Decimal": "number",
	"Words": "list of words, or one string", "Env": "map of name to text, or list of `NAME=value`",
}
