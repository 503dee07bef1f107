// Command health says what GitOps tools make of objects: kstatus as Flux's cli-utils computes it, Flux's evaluator of
// healthCheckExprs, and an Argo CD health script run by the Lua interpreter that Argo CD uses.
//
// It reads one JSON document {"lua": {KIND: SCRIPT}, "expressions": {KIND: {current, inProgress, failed}}, "objects": [...]}
// from standard input and prints one {"kstatus", "flux", "argo", "message"} an object.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kjson "k8s.io/apimachinery/pkg/util/json"
)

type question struct {
	Lua         map[string]string                           `json:"lua"`
	Expressions map[string]kustomize.HealthCheckExpressions `json:"expressions"`
	Objects     []json.RawMessage                           `json:"objects"`
}

type answer struct {
	Kstatus string `json:"kstatus"`
	Flux    string `json:"flux"`
	Argo    string `json:"argo"`
	Message string `json:"message"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "health:", err)
		os.Exit(1)
	}
}

func run() error {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		return err
	}
	answers := make([]answer, 0, len(asked.Objects))
	for _, raw := range asked.Objects {
		// Kubernetes' own decoder: whole numbers become int64, which the evaluators insist on.
		var content map[string]any
		if err := kjson.Unmarshal(bytes.TrimSpace(raw), &content); err != nil {
			return err
		}
		found, err := judge(&asked, &unstructured.Unstructured{Object: content})
		if err != nil {
			return err
		}
		answers = append(answers, found)
	}
	return json.NewEncoder(os.Stdout).Encode(answers)
}

func judge(asked *question, object *unstructured.Unstructured) (answer, error) {
	kind := object.GetKind()
	computed, err := status.Compute(object)
	if err != nil {
		return answer{}, fmt.Errorf("%s: kstatus: %w", kind, err)
	}
	expressions := asked.Expressions[kind]
	evaluator, err := cel.NewStatusEvaluator(&expressions)
	if err != nil {
		return answer{}, fmt.Errorf("%s: healthCheckExprs: %w", kind, err)
	}
	evaluated, err := evaluator.Evaluate(context.Background(), object)
	if err != nil {
		return answer{}, fmt.Errorf("%s: healthCheckExprs: %w", kind, err)
	}
	health, message, err := argo(asked.Lua[kind], object.Object)
	if err != nil {
		return answer{}, fmt.Errorf("%s: health.lua: %w", kind, err)
	}
	return answer{computed.Status.String(), evaluated.Status.String(), health, message}, nil
}

// argo runs a health script the way Argo CD does: without libraries beyond the safe ones, the object in `obj`.
func argo(script string, object map[string]any) (string, string, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{
		lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable, lua.StringLibName: lua.OpenString,
	} {
		state.Push(state.NewFunction(open))
		state.Push(lua.LString(name))
		state.Call(1, 0)
	}
	state.SetGlobal("obj", value(state, object))
	if err := state.DoString(script); err != nil {
		return "", "", err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return "", "", fmt.Errorf("returned %s, not a table", state.Get(-1).Type())
	}
	return table.RawGetString("status").String(), table.RawGetString("message").String(), nil
}

func value(state *lua.LState, plain any) lua.LValue {
	switch typed := plain.(type) {
	case map[string]any:
		table := state.NewTable()
		for key, item := range typed {
			table.RawSetString(key, value(state, item))
		}
		return table
	case []any:
		table := state.NewTable()
		for _, item := range typed {
			table.Append(value(state, item))
		}
		return table
	case string:
		return lua.LString(typed)
	case bool:
		return lua.LBool(typed)
	case int64:
		return lua.LNumber(typed)
	case float64:
		return lua.LNumber(typed)
	default:
		return lua.LNil
	}
}
