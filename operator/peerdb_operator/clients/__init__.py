"""One outside system per client: what leaves the process goes through here.

Clients translate: typed calls out, typed values in, foreign exceptions into the one error tree. They decide nothing,
retry nothing and remember nothing about mirrors.
"""
