"""Templates are read, judged and evaluated as CloudFormation does it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from lae_localcloud.cloudformation.evaluation import (
    ABSENT,
    LATER,
    Known,
    Scope,
    decide_conditions,
    evaluate,
    references,
)
from lae_localcloud.cloudformation.kinds.table import KINDS
from lae_localcloud.cloudformation.order import find_needs, ready, turned
from lae_localcloud.cloudformation.parameters import as_value, fill_parameters
from lae_localcloud.cloudformation.reading import (
    BODY_LIMIT,
    TemplateWrong,
    read_tree,
)
from lae_localcloud.cloudformation.schemas import (
    FILE,
    complaints_about,
    recreation,
)
from lae_localcloud.cloudformation.template import read_template
from tests.localcloud.cloudformation.distilled import as_text, distil
from tests.localcloud.cloudformation.templates import (
    GROUP,
    graphs,
    template_of,
    words,
)

VPC = {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}}


def wrong(text: str) -> str:
    with pytest.raises(TemplateWrong) as caught:
        read_template(text, KINDS)
    return str(caught.value)


def scope(**more: Any) -> Scope:
    return Scope({"P": "value", "L": ["a", "b"]}, zones=("z-1a", "z-1b"), **more)


def test_the_schemas_are_those_that_aws_publishes() -> None:
    """What the local cloud knows of resource types is what cfn-lint ships of AWS's."""
    assert FILE.read_text() == as_text(distil())


def test_short_forms_are_long_ones() -> None:
    """YAML's tags, with scalars, lists and mappings, are functions; dates are texts."""
    tree = read_tree(
        "A: !Ref X\nB: !GetAtt X.Arn.Deep\nC: !Sub ['${Y}', {Y: !Ref X}]\n"
        "D: !If [Big, !Join [',', [1, 2]], !Ref AWS::NoValue]\nE: 2012-10-17\n"
        "F: !Condition Big\nG: !Base64 {Ref: X}\n"
    )
    assert tree == {
        "A": {"Ref": "X"},
        "B": {"Fn::GetAtt": ["X", "Arn.Deep"]},
        "C": {"Fn::Sub": ["${Y}", {"Y": {"Ref": "X"}}]},
        "D": {"Fn::If": ["Big", {"Fn::Join": [",", [1, 2]]}, {"Ref": "AWS::NoValue"}]},
        "E": "2012-10-17",
        "F": {"Condition": "Big"},
        "G": {"Fn::Base64": {"Ref": "X"}},
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "YAML not well-formed"),
        ("- a", "unsupported structure"),
        ("a: &x 1\nb: *x", "aliases are not allowed"),
        ("a: 1\na: 2", "Duplicate key a"),
        ("a: !Nonsense 1", "unsupported tag !Nonsense"),
        ("x: " + "[" * 70 + "]" * 70, "unsupported structure"),
        ("a: " + "x" * BODY_LIMIT, "less than or equal to 51200"),
    ],
)
def test_what_is_no_template_is_refused(text: str, says: str) -> None:
    """Broken, too deep, too large or ambiguous texts are refused, each by its name."""
    with pytest.raises(TemplateWrong, match=says):
        read_tree(text)


@given(text=st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but a refusal comes of a text that is no template."""
    with contextlib.suppress(TemplateWrong):
        read_template(text, KINDS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"Resources": {}}, "At least one Resources member"),
        ({"Nonsense": {}}, r"Invalid template property or properties \[Nonsense\]"),
        ({"AWSTemplateFormatVersion": "2011"}, "not a supported value"),
        ({"Resources": {"A-B": VPC}}, "non alphanumeric"),
        ({"Resources": {"A": {"Properties": {}}}}, "must contain a Type member"),
        ({"Resources": {"A": {"Type": "AWS::X::Y"}}}, r"types: \[AWS::X::Y\]"),
        ({"Resources": {"A": VPC | {"Kind": 1}}}, "resource property 'Kind'"),
        ({"Resources": {"A": VPC | {"DeletionPolicy": "Keep"}}}, "DeletionPolicy must"),
        ({"Resources": {"A": VPC | {"DependsOn": "B"}}}, r"dependencies \[B\]"),
        ({"Resources": {"A": VPC | {"Condition": "C"}}}, "condition dependency C"),
        ({"Resources": {"A": 1}}, "Every Resources member must be an object"),
        ({"Outputs": {"O": {}}}, "must contain a Value"),
        ({"Parameters": {"A": {"Type": "String"}}}, "must be unique"),
        ({"Resources": {f"A{n}": VPC for n in range(501)}}, "greater than maximum"),
    ],
)
def test_a_template_that_makes_no_sense_is_refused(
    change: dict[str, Any], says: str
) -> None:
    """Each mistake that can be seen before anything is made is told by AWS's words."""
    text = json.dumps({"Resources": {"A": VPC}, **change})
    with pytest.raises(TemplateWrong, match=says):
        read_template(text, KINDS)


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ({"Ref": "P"}, "value"),
        ({"Ref": "L"}, ["a", "b"]),
        ({"Ref": "Box"}, "box-1"),
        ({"Ref": "New"}, LATER),
        ({"Fn::GetAtt": ["Box", "Arn"]}, "arn:box"),
        ({"Fn::GetAtt": "Box.Arn"}, "arn:box"),
        ({"Fn::GetAtt": ["New", "Arn"]}, LATER),
        ({"Fn::Sub": "${P}-${Box.Arn}-${!P}"}, "value-arn:box-${P}"),
        ({"Fn::Sub": ["${Own}${P}", {"Own": {"Ref": "Box"}}]}, "box-1value"),
        ({"Fn::Sub": "x${New}y"}, f"x{LATER}y"),
        ({"Fn::Join": ["-", ["a", {"Ref": "P"}, 1, True]]}, "a-value-1-true"),
        ({"Fn::Join": ["-", {"Fn::GetAtt": ["New", "List"]}]}, LATER),
        ({"Fn::Split": ["-", "a-b"]}, ["a", "b"]),
        ({"Fn::Select": ["1", {"Fn::GetAZs": ""}]}, "z-1b"),
        ({"Fn::Select": [0, {"Ref": "New"}]}, LATER),
        ({"Fn::If": ["Yes", "a", {"Ref": "Nothing"}]}, "a"),
        ({"Fn::If": ["No", {"Ref": "Nothing"}, "b"]}, "b"),
        ({"Fn::Base64": "abc"}, "YWJj"),
        ({"Fn::FindInMap": ["M", {"Ref": "P"}, "two"]}, 7),
        ({"a": {"Ref": "AWS::NoValue"}, "b": [{"Ref": "AWS::NoValue"}, 1]}, {"b": [1]}),
        ({"Condition": {"Bool": {"aws:SecureTransport": "false"}}}, None),
    ],
)
def test_functions_have_values(said: Any, value: Any) -> None:
    """Every function gives what CloudFormation's gives; what is to be made is LATER."""
    there = scope(
        known={"Box": Known("box-1", {"Arn": "arn:box"})},
        later=frozenset({"New"}),
        conditions={"Yes": True, "No": False},
        mappings={"M": {"value": {"two": 7}}},
    )
    assert evaluate(said, there) == (said if value is None else value)


@pytest.mark.parametrize(
    "said",
    [
        {"Ref": "Nothing"},
        {"Fn::GetAtt": ["Box", "Nothing"]},
        {"Fn::GetAtt": ["Nothing", "Arn"]},
        {"Fn::Select": [2, ["a", "b"]]},
        {"Fn::Select": ["x", ["a"]]},
        {"Fn::Join": ["-", "ab"]},
        {"Fn::Join": ["-", [["a"]]]},
        {"Fn::If": ["Nothing", 1, 2]},
        {"Fn::FindInMap": ["M", "x", "y"]},
        {"Fn::ImportValue": "x"},
        {"Fn::Split": ["", "x"]},
    ],
)
def test_a_function_without_a_value_is_refused(said: Any) -> None:
    """Nothing is made with a property that could not be evaluated."""
    with pytest.raises(TemplateWrong):
        evaluate(said, scope(known={"Box": Known("box-1")}))


def test_no_value_stands_alone() -> None:
    """AWS::NoValue takes out whatever it stands for."""
    assert evaluate({"Ref": "AWS::NoValue"}, scope()) is ABSENT


def conditions_of(**conditions: Any) -> dict[str, bool]:
    text = json.dumps({"Resources": {"A": VPC}, "Conditions": conditions})
    return decide_conditions(read_template(text, KINDS), scope())


def test_conditions_are_decided() -> None:
    """Equals, And, Or, Not and other conditions, in whatever order they stand."""
    same, other = {"Fn::Equals": [{"Ref": "P"}, "value"]}, {"Fn::Equals": [1, "2"]}
    found = conditions_of(
        All={"Fn::And": [{"Condition": "Same"}, {"Fn::Not": [other]}]},
        Same=same,
        None_={"Fn::Or": [other, {"Fn::Not": [{"Condition": "Same"}]}]},
        Truth={"Fn::Equals": [True, "true"]},
    )
    assert found == {"All": True, "Same": True, "None_": False, "Truth": True}


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ({"A": {"Condition": "B"}, "B": {"Condition": "A"}}, "circular condition"),
        ({"A": {"Condition": "Z"}}, "Unresolved condition dependency Z"),
        ({"A": {"Fn::And": [{"Fn::Equals": [1, 1]}]}}, "boolean operations"),
        ({"A": {"Ref": "P"}}, "boolean operations"),
    ],
)
def test_conditions_that_cannot_be_decided(
    conditions: dict[str, Any], says: str
) -> None:
    """Circles and what is no condition are refused."""
    with pytest.raises(TemplateWrong, match=says):
        conditions_of(**conditions)


@given(graphs())
def test_a_resource_waits_for_all_that_it_needs(
    needs: dict[str, frozenset[str]],
) -> None:
    """Ref, GetAtt, Sub and DependsOn are found, and the order that they make is kept:
    each is made after what it needs, and taken away before it.
    """
    found = find_needs(read_template(template_of(needs), KINDS), {})
    assert found == needs
    for order, first in ((found, found), (turned(found), turned(found))):
        done: set[str] = set()
        while able := ready(order, set(order) - done, done):
            assert all(first[name] <= done for name in able)
            done |= set(able)
        assert done == set(needs)


@given(graphs(), st.data())
def test_a_circle_is_refused_by_its_names(
    needs: dict[str, frozenset[str]], data: st.DataObject
) -> None:
    """Resources that wait for each other are named; those that only wait for them are
    not.
    """
    inside = data.draw(
        st.lists(st.sampled_from(sorted(needs)), min_size=1, unique=True)
    )
    circle = dict(zip(inside, [*inside[1:], inside[0]], strict=True))
    bent = {
        n: frozenset({circle[n]}) if n in circle else needed
        for n, needed in needs.items()
    }
    with pytest.raises(TemplateWrong, match="Circular dependency") as caught:
        find_needs(read_template(template_of(bent), KINDS), {})
    named = str(caught.value).partition("[")[2].rstrip("]").split(", ")
    assert set(inside) <= set(named)
    assert all(any(of in named for of in bent[name]) for name in named)


def test_only_the_side_that_is_taken_is_needed() -> None:
    """An If refers to what its side says; a resource that is left out is no one's."""
    said = {"Fn::If": ["C", {"Ref": "A"}, {"Fn::Sub": "${B.Arn} ${!X} ${Own}"}]}
    assert set(references(said, {"C": True})) == {("A", None)}
    assert set(references(said, {"C": False})) == {("B", "Arn"), ("Own", None)}
    text = yaml.safe_dump(
        {
            "Conditions": {"C": {"Fn::Equals": [1, 2]}},
            "Resources": {
                "A": {"Type": GROUP, "Condition": "C"},
                "B": {"Type": GROUP, "DependsOn": "A"},
            },
        }
    )
    assert find_needs(read_template(text, KINDS), {"C": False}) == {"B": frozenset()}
    using = text + "Outputs: {O: {Value: !Ref A}}\n"
    with pytest.raises(TemplateWrong, match=r"\[A\] in the Outputs block"):
        find_needs(read_template(using, KINDS), {"C": False})


DECLARED = {
    "Name": {"Type": "String", "AllowedPattern": "[a-z]+", "MaxLength": 4},
    "Size": {"Type": "Number", "Default": 20, "MinValue": 10, "MaxValue": 100},
    "Kind": {"Type": "String", "Default": "a", "AllowedValues": ["a", "b"]},
    "Ids": {"Type": "List<Number>", "Default": "1, 2"},
}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, r"Parameters: \[Name\] must have values"),
        ({"Name": "a", "X": "1"}, r"Parameters: \[X\] do not exist"),
        ({"Name": "A"}, "Name failed to satisfy constraint: must match pattern"),
        ({"Name": "abcde"}, "at most 4 characters"),
        ({"Name": "a", "Size": "x"}, "must be a number"),
        ({"Name": "a", "Size": "9"}, "not less than 10"),
        ({"Name": "a", "Size": "101"}, "not more than 100"),
        ({"Name": "a", "Kind": "c"}, "must be one of AllowedValues"),
        ({"Name": "a", "Ids": "1,x"}, "must be a number"),
        ({"Name": "a" * 5000}, "4096 at most"),
    ],
)
def test_wrong_parameters_are_refused(given: dict[str, str], says: str) -> None:
    """Missing, unknown and forbidden values are refused before anything is done."""
    with pytest.raises(TemplateWrong, match=says):
        fill_parameters(DECLARED, given, {})


def test_parameters_have_values() -> None:
    """What is given comes before what was, and that before the default."""
    keep = frozenset({"Name"})
    found = fill_parameters(DECLARED, {"Size": "30"}, {"Name": "old"}, keep)
    assert found == {"Name": "old", "Size": "30", "Kind": "a", "Ids": "1, 2"}
    assert as_value(DECLARED["Ids"], found["Ids"]) == ["1", "2"]
    with pytest.raises(TemplateWrong, match="must have values"):
        fill_parameters(DECLARED, {}, {}, keep)
    with pytest.raises(TemplateWrong, match="does not exist"):
        fill_parameters({"V": {"Type": "AWS::EC2::VPC::Id"}}, {"V": "x"}, {})


@given(words, words)
def test_sub_and_join_agree(one: str, other: str) -> None:
    """Texts put together by Sub and by Join are the same."""
    there = Scope({"A": one, "B": other})
    joined = {"Fn::Join": ["/", [{"Ref": "A"}, {"Ref": "B"}]]}
    assert evaluate({"Fn::Sub": "${A}/${B}"}, there) == evaluate(joined, there)


@pytest.mark.parametrize(
    ("kind", "said", "says"),
    [
        ("AWS::EC2::VPC", {"CidrBlok": "x"}, "Unsupported property [CidrBlok]"),
        ("AWS::EC2::Subnet", {}, "Required property [VpcId] not found"),
        ("AWS::EC2::VPC", {"VpcId": "x"}, "Unsupported property [VpcId]"),
        ("AWS::EC2::VPC", {"EnableDnsSupport": "yes"}, "expected type: boolean"),
        ("AWS::EC2::VPC", {"Tags": "x"}, "expected type: array"),
        (
            "AWS::S3::Bucket",
            {"VersioningConfiguration": {"Status": "On"}},
            "/VersioningConfiguration/Status: On is not a valid enum value",
        ),
        (
            "AWS::EC2::Volume",
            {"Size": "large", "AvailabilityZone": "z"},
            "/Size: expected type: integer",
        ),
        (
            "AWS::EC2::SecurityGroup",
            {"GroupDescription": "x", "SecurityGroupIngress": [{"FromPort": 1}]},
            "Required property [IpProtocol] not found at /SecurityGroupIngress/0",
        ),
        ("AWS::EC2::VPC", {"EnableDnsSupport": "true", "CidrBlock": LATER}, ""),
    ],
)
def test_properties_are_judged_by_the_schema(
    kind: str, said: dict[str, Any], says: str
) -> None:
    """What a resource's schema does not allow is told; a text may stand for a number."""
    found = complaints_about(kind, said)
    assert (found == []) if not says else any(says in one for one in found), found


def test_a_change_makes_anew_what_the_schema_says() -> None:
    """A bucket's name, an instance's type, a bucket's versioning: always, perhaps, never."""
    assert recreation("AWS::S3::Bucket", "BucketName") == "Always"
    assert recreation("AWS::EC2::Instance", "InstanceType") == "Conditionally"
    assert recreation("AWS::S3::Bucket", "VersioningConfiguration") == "Never"
    assert recreation("AWS::ECR::Repository", "EncryptionConfiguration") == "Always"


def test_what_fn_getatt_knows_is_what_the_schemas_have() -> None:
    """Every attribute that the local cloud gives is one of the resource type's own."""
    schemas = json.loads(FILE.read_text())
    for name, kind in KINDS.items():
        schema = schemas[name]
        known = {path.split("/")[2] for path in schema.get("readOnlyProperties", ())}
        assert set(kind.attributes) <= known | set(schema["properties"]), name
        assert kind.names is None or kind.names in schema["properties"]
        assert set(kind.takes) <= set(schema["properties"]), name
        assert set(schema.get("required", ())) <= set(kind.takes), name
