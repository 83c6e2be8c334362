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
        "what code_change raises is what catch gives": (
            "{{false,ok},[suspend,{sys,change,{error,no}},{sys,change,{exit,no}},{sys,change,{throw_term,ball}},"
            "{sys,change,x},{sys,state}]}"
        ),
        "calls that nobody is there for": "{{false,ok},[{cast,{1,{stop,x}}},{ask,{2,later}},{ask,{3,{reply,a}}}]}",
    },
    "gen_event": {
        "who supervised a handler that has gone is linked with the manager": (
            "[{add_sup,p,{1},{named,2}},{call,{1},remove},{stop,a}]"
        ),
        "but not when it ends with the handler": "[{add_sup,p,{1},{named,2}},{stop,a}]",
        "a handler that swaps itself keeps its place": (
            "[{add,a,{named,1}},{add,b,{named,2}},{notify,{swap,why,a,{named,3}}},{delete,a,x}]"
        ),
        "a swap that fails": (
            "[{add_sup,p,1,{named,1}},{swap,1,a,2,{fail,no}},{add_sup,p,1,{named,1}},{notify,{swap,a,2,{fail,no}}}]"
        ),
        "an exit signal of a supervisor that lives": (
            "[{add_sup,p,1,{named,1}},{add,2,{named,2}},{exit,p,boom},{call,2,log}]"
        ),
        "an init that fails leaves its link": "[{add_sup,p,1,{fail,no}},{stop,boom}]",
        "a handler whose state can not be replaced keeps it": (
            "[{add,1,{named,1}},{add,2,{named,2}},{sys,replace,replace_error},{sys,replace,replace_other},{sys,state}]"
        ),
        "a change of code is for the handlers of the module, and for all or none": (
            "[{add,1,{named,1}},{sys,change,twin_events,x},{sys,change,another,x},{sys,change,twin_events,{exit,no}},"
            "{sys,state}]"
        ),
    },
    "pg": {
        "who joins when it is no more": "[{watch,0,'$all'},{die,{0,3}},{join,0,g,[{0,3},{0,1}]}]",
        "a process of another node leaves": "[{join,1,g,[{1,1}]},{leave,0,g,[{1,1}]}]",
    },
    "global_meetings": {
        "a method that fails leaves the name to the other one": (
            "[{1,{{diff_meetings,fails},{diff_meetings,fails}}},{2,{{diff_meetings,nothing},{diff_meetings,nothing}}},"
            "{3,{{diff_meetings,odd},{diff_meetings,odd}}}]"
        ),
    },
}
