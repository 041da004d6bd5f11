"""Contracts: Avro schemas, checked strictly, and the single Arrow type of each Avro type."""

from pipelines.contract.avro_type import AvroField, AvroType
from pipelines.contract.contract import Contract, ContractField, load_contract, parse_contract
from pipelines.contract.errors import ContractError, ContractProblem
from pipelines.contract.todo import places_with_todo, says_todo

__all__ = [
    "AvroField",
    "AvroType",
    "Contract",
    "ContractError",
    "ContractField",
    "ContractProblem",
    "load_contract",
    "parse_contract",
    "places_with_todo",
    "says_todo",
]
