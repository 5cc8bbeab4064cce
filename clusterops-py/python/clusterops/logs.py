"""Logs in OpenSearch and Elasticsearch: query, follow, export, and show them.

Examples
--------
>>> from clusterops import logs
>>> client = logs.Client("http://127.0.0.1:9200")
>>> errors = logs.Query.bool(must=[logs.Query.term("level", "error")], filter=[logs.Query.range("@timestamp", gte="now-15m")])
>>> tail = logs.Tail(client, "logs-*", errors)
"""

from __future__ import annotations

from ._clusterops import (
    Aggregation,
    Bulk,
    BulkItem,
    Client,
    Excerpt,
    Export,
    ExportMerge,
    ExportPage,
    ExportPages,
    ExportProgress,
    ExportSummary,
    Fields,
    Histogram,
    Hit,
    LogServer,
    Look,
    Notice,
    Page,
    Pit,
    Query,
    Renderer,
    Tail,
    TailBatch,
    TailDocument,
    TailEvent,
    TailMerge,
    Top,
    Validation,
    escape_kql,
    escape_lucene,
)
from .options import SearchOptions

__all__ = [
    "Aggregation",
    "Bulk",
    "BulkItem",
    "Client",
    "Excerpt",
    "Export",
    "ExportMerge",
    "ExportPage",
    "ExportPages",
    "ExportProgress",
    "ExportSummary",
    "Fields",
    "Histogram",
    "Hit",
    "LogServer",
    "Look",
    "Notice",
    "Page",
    "Pit",
    "Query",
    "Renderer",
    "SearchOptions",
    "Tail",
    "TailBatch",
    "TailDocument",
    "TailEvent",
    "TailMerge",
    "Top",
    "Validation",
    "escape_kql",
    "escape_lucene",
]
