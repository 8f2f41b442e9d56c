// Serves the schema in schema.json, beside this program, as a Terraform provider does. It can plan, so
// that a plan can be judged, but there is nothing that it could read or change: what only AWS knows is
// unknown in a plan, and comes from answers.json when a data source is read.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/hashicorp/terraform-plugin-go/tfprotov5"
	"github.com/hashicorp/terraform-plugin-go/tfprotov5/tf5server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

const address = "registry.terraform.io/hashicorp/aws"

type attribute struct {
	Type      json.RawMessage
	Required  bool
	Optional  bool
	Computed  bool
	Sensitive bool
}

type nested struct {
	NestingMode string `json:"nesting_mode"`
	MinItems    int64  `json:"min_items"`
	MaxItems    int64  `json:"max_items"`
	Block       block
}

type block struct {
	Attributes map[string]attribute
	BlockTypes map[string]nested `json:"block_types"`
}

type schema struct {
	Version int64
	Block   block
}

// The form of `terraform providers schema -json`.
type document struct {
	ProviderSchemas map[string]struct {
		Provider          schema
		ResourceSchemas   map[string]schema `json:"resource_schemas"`
		DataSourceSchemas map[string]schema `json:"data_source_schemas"`
	} `json:"provider_schemas"`
}

var modes = map[string]tfprotov5.SchemaNestedBlockNestingMode{
	"single": tfprotov5.SchemaNestedBlockNestingModeSingle,
	"list":   tfprotov5.SchemaNestedBlockNestingModeList,
	"set":    tfprotov5.SchemaNestedBlockNestingModeSet,
	"map":    tfprotov5.SchemaNestedBlockNestingModeMap,
}

func (b block) protocol() (*tfprotov5.SchemaBlock, error) {
	result := &tfprotov5.SchemaBlock{}
	for name, a := range b.Attributes {
		kind, err := tftypes.ParseJSONType(a.Type)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		result.Attributes = append(result.Attributes, &tfprotov5.SchemaAttribute{
			Name: name, Type: kind, Required: a.Required, Optional: a.Optional,
			Computed: a.Computed, Sensitive: a.Sensitive,
		})
	}
	for name, n := range b.BlockTypes {
		inner, err := n.Block.protocol()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		result.BlockTypes = append(result.BlockTypes, &tfprotov5.SchemaNestedBlock{
			TypeName: name, Block: inner, Nesting: modes[n.NestingMode],
			MinItems: n.MinItems, MaxItems: n.MaxItems,
		})
	}
	return result, nil
}

func protocol(schemas map[string]schema) (map[string]*tfprotov5.Schema, error) {
	result := map[string]*tfprotov5.Schema{}
	for name, s := range schemas {
		b, err := s.Block.protocol()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		result[name] = &tfprotov5.Schema{Version: s.Version, Block: b}
	}
	return result, nil
}

// Methods that are not here panic: Terraform does not call them for what this is for.
type server struct {
	tfprotov5.ProviderServer
	provider  *tfprotov5.Schema
	resources map[string]*tfprotov5.Schema
	data      map[string]*tfprotov5.Schema
	answers   map[string]map[string]any
}

func load() (*server, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	folder := filepath.Dir(program)
	text, err := os.ReadFile(filepath.Join(folder, "schema.json"))
	if err != nil {
		return nil, err
	}
	var read document
	if err := json.Unmarshal(text, &read); err != nil {
		return nil, err
	}
	of := read.ProviderSchemas[address]
	s := &server{}
	if text, err = os.ReadFile(filepath.Join(folder, "answers.json")); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &s.answers); err != nil {
		return nil, err
	}
	providers, err1 := protocol(map[string]schema{"": of.Provider})
	resources, err2 := protocol(of.ResourceSchemas)
	data, err3 := protocol(of.DataSourceSchemas)
	s.provider, s.resources, s.data = providers[""], resources, data
	return s, errors.Join(err1, err2, err3)
}

func (s *server) GetMetadata(context.Context, *tfprotov5.GetMetadataRequest) (*tfprotov5.GetMetadataResponse, error) {
	result := &tfprotov5.GetMetadataResponse{}
	for name := range s.resources {
		result.Resources = append(result.Resources, tfprotov5.ResourceMetadata{TypeName: name})
	}
	for name := range s.data {
		result.DataSources = append(result.DataSources, tfprotov5.DataSourceMetadata{TypeName: name})
	}
	return result, nil
}

func (s *server) GetProviderSchema(context.Context, *tfprotov5.GetProviderSchemaRequest) (*tfprotov5.GetProviderSchemaResponse, error) {
	return &tfprotov5.GetProviderSchemaResponse{
		Provider: s.provider, ResourceSchemas: s.resources, DataSourceSchemas: s.data,
	}, nil
}

func (s *server) GetResourceIdentitySchemas(context.Context, *tfprotov5.GetResourceIdentitySchemasRequest) (*tfprotov5.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov5.GetResourceIdentitySchemasResponse{}, nil
}

func (s *server) PrepareProviderConfig(_ context.Context, r *tfprotov5.PrepareProviderConfigRequest) (*tfprotov5.PrepareProviderConfigResponse, error) {
	return &tfprotov5.PrepareProviderConfigResponse{PreparedConfig: r.Config}, nil
}

func (s *server) ConfigureProvider(context.Context, *tfprotov5.ConfigureProviderRequest) (*tfprotov5.ConfigureProviderResponse, error) {
	return &tfprotov5.ConfigureProviderResponse{}, nil
}

func (s *server) StopProvider(context.Context, *tfprotov5.StopProviderRequest) (*tfprotov5.StopProviderResponse, error) {
	return &tfprotov5.StopProviderResponse{}, nil
}

func (s *server) ValidateResourceTypeConfig(context.Context, *tfprotov5.ValidateResourceTypeConfigRequest) (*tfprotov5.ValidateResourceTypeConfigResponse, error) {
	return &tfprotov5.ValidateResourceTypeConfigResponse{}, nil
}

func (s *server) ValidateDataSourceConfig(context.Context, *tfprotov5.ValidateDataSourceConfigRequest) (*tfprotov5.ValidateDataSourceConfigResponse, error) {
	return &tfprotov5.ValidateDataSourceConfigResponse{}, nil
}

func (s *server) PlanResourceChange(_ context.Context, r *tfprotov5.PlanResourceChangeRequest) (*tfprotov5.PlanResourceChangeResponse, error) {
	planned, err := filled(s.resources[r.TypeName], r.ProposedNewState, func(string) (any, error) {
		return tftypes.UnknownValue, nil
	})
	return &tfprotov5.PlanResourceChangeResponse{PlannedState: planned}, err
}

func (s *server) ReadDataSource(_ context.Context, r *tfprotov5.ReadDataSourceRequest) (*tfprotov5.ReadDataSourceResponse, error) {
	answers := s.answers[r.TypeName]
	state, err := filled(s.data[r.TypeName], r.Config, func(name string) (any, error) {
		answer, err := valueOf(answers[name])
		if err != nil {
			return nil, fmt.Errorf("answers.json: %s.%s: %w", r.TypeName, name, err)
		}
		return answer, nil
	})
	return &tfprotov5.ReadDataSourceResponse{State: state}, err
}

// valueOf turns what JSON holds into what a value is made of.
func valueOf(answer any) (any, error) {
	list, isList := answer.([]any)
	if !isList {
		return answer, nil
	}
	var values []tftypes.Value
	for _, item := range list {
		text, isText := item.(string)
		if !isText {
			return nil, fmt.Errorf("%v is no string", item)
		}
		values = append(values, tftypes.NewValue(tftypes.String, text))
	}
	return values, nil
}

// filled returns an object in which each computed attribute that nobody set has a value.
func filled(of *tfprotov5.Schema, given *tfprotov5.DynamicValue, value func(string) (any, error)) (*tfprotov5.DynamicValue, error) {
	kind := of.ValueType()
	object, err := given.Unmarshal(kind)
	if err != nil || object.IsNull() {
		return given, err
	}
	fields := map[string]tftypes.Value{}
	if err := object.As(&fields); err != nil {
		return nil, err
	}
	for _, a := range of.Block.Attributes {
		if !a.Computed || !fields[a.Name].IsNull() {
			continue
		}
		made, err := value(a.Name)
		if err != nil {
			return nil, err
		}
		fields[a.Name] = tftypes.NewValue(a.Type, made)
	}
	result, err := tfprotov5.NewDynamicValue(kind, tftypes.NewValue(kind, fields))
	return &result, err
}

func main() {
	s, err := load()
	if err == nil {
		err = tf5server.Serve(address, func() tfprotov5.ProviderServer { return s })
	}
	if err != nil {
		log.Fatal(err)
	}
}
