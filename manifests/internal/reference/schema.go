package main

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// object is a JSON object; encoding/json writes its keys sorted.
type object = map[string]any

// jsonSchema writes the JSON Schema (2020-12).
func jsonSchema(types []structType) ([]byte, error) {
	defs := object{}
	for _, t := range types {
		if t.name != "Document" && t.name != "Settings" {
			defs[t.name] = structSchema(t)
		}
	}
	root := structSchema(types[0])
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Archipelago app manifest"
	root["$defs"] = defs
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(root)
	return b.Bytes(), err
}

func structSchema(t structType) object {
	properties, required := object{}, []string{}
	for _, f := range t.fields {
		properties[f.key] = fieldSchema(f)
		if f.tag.Get("need") == "required" {
			required = append(required, f.key)
		}
	}
	s := object{"type": "object", "description": t.doc, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

func fieldSchema(f field) object {
	s := typeSchema(f.typ, f)
	s["description"] = f.doc
	if d := f.tag.Get("default"); d != "" {
		s["description"] = f.doc + " Default: " + d + "."
	}
	return s
}

// shortForms is structs that may also be written as one value.
var shortForms = map[string][]string{"Port": {"string", "integer"}, "Device": {"string"}}

func typeSchema(typ string, f field) object {
	inner, kind := element(typ)
	switch kind {
	case "list":
		return object{"type": "array", "items": typeSchema(inner, f)}
	case "map":
		return object{"type": "object", "additionalProperties": typeSchema(inner, f)}
	}
	if s, ok := scalarSchema(typ, f); ok {
		return s
	}
	ref := object{"$ref": "#/$defs/" + typ}
	if short, ok := shortForms[typ]; ok {
		return object{"anyOf": []object{ref, {"type": short}}}
	}
	return ref
}

func scalarSchema(typ string, f field) (object, bool) {
	text := object{"type": []string{"string", "number", "boolean"}}
	switch typ {
	case "bool":
		return object{"type": "boolean"}, true
	case "int":
		s := object{"type": "integer"}
		for tag, key := range map[string]string{"min": "minimum", "max": "maximum"} {
			if n, err := strconv.ParseInt(f.tag.Get(tag), 10, 64); err == nil {
				s[key] = n
			}
		}
		return s, true
	case "string":
		if words := f.tag.Get("enum"); words != "" {
			return object{"enum": strings.Split(words, "|")}, true
		}
		return text, true
	case "Duration", "Mode":
		return object{"type": "string"}, true
	case "Size", "Decimal":
		return object{"type": []string{"string", "number"}}, true
	case "Words":
		return object{"anyOf": []object{{"type": "string"}, {"type": "array", "items": text}}}, true
	case "Env":
		return object{"anyOf": []object{{"type": "object", "additionalProperties": text}, {"type": "array", "items": object{"type": "string"}}}}, true
	}
	return nil, false
}
