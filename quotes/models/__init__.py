"""Models: symbols and boards, their newest quotes and candles, and the state of the feed."""

from quotes.models.boards import Board, BoardSymbol
from quotes.models.bulk import BulkChange
from quotes.models.candles import Candle, CandleSpan, with_its_symbol
from quotes.models.feed import Change, FeedLease, ProviderUse
from quotes.models.history import HistoryEntry
from quotes.models.instruments import Instrument, InstrumentList, InstrumentTerm
from quotes.models.loads import Load
from quotes.models.markets import MarketDay, venue_choices
from quotes.models.prices import HeldPrice, LastQuote, Override
from quotes.models.symbols import Alias, ProviderSymbol, Split, Symbol
from quotes.models.uploads import Upload

__all__ = [
    "Alias",
    "Board",
    "BoardSymbol",
    "BulkChange",
    "Candle",
    "CandleSpan",
    "Change",
    "FeedLease",
    "HeldPrice",
    "HistoryEntry",
    "Instrument",
    "InstrumentList",
    "InstrumentTerm",
    "LastQuote",
    "Load",
    "MarketDay",
    "Override",
    "ProviderSymbol",
    "ProviderUse",
    "Split",
    "Symbol",
    "Upload",
    "venue_choices",
    "with_its_symbol",
]
