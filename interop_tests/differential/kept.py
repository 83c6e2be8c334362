"""Scripts that were once seen differently, each with a word on why; the suite runs them all.

A script stands here as it is printed, for a seed gives another one as soon as the generator changes.
"""

KEPT: dict[str, dict[str, str]] = {
    "actors": {
        "a monitor of oneself is none": (
            "{{0},[{a,{monitor,l1,{'$actor',a}}},{a,info},{a,{demonitor,{'$label',l1},[info]}}]}"
        ),
        "a link with one that is no more is an error": "{{0,0},[{b,{die,boom}},{a,{link,{'$actor',b}}},{a,info}]}",
        "unless exits are trapped": "{{0,0},[{b,{die,boom}},{a,{trap,true}},{a,{link,{'$actor',b}}}]}",
        "a reference of another node is no monitor": (
            "{{1,0},[{a,{soon,l1,{'$actor',a},x}},{b,{demonitor,{'$label',l1},[]}}]}"
        ),
    },
    "gen_server": {
        "what ends in its first continue": "{{false,{then,{continue,{3,{stop,[]}}}}},[{call,{1,{reply,a}}}]}",
        "calls that nobody is there for": "{{false,ok},[{cast,{1,{stop,x}}},{ask,{2,later}},{ask,{3,{reply,a}}}]}",
    },
    "gen_statem": {},
}
