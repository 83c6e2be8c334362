%% What this BEAM says of terms: how they print, hash and compare.
-module(terms).
-compile([{nowarn_deprecated_function, {erlang, phash, 2}}]).
-export([read/1, show/1, limited/2, hashes/1, compare/1]).

%% Term texts, as binaries, read as file:consult/1 reads them; each as its external form.
read(Texts) ->
    [begin
         {ok, Tokens, _} = erl_scan:string(unicode:characters_to_list(Text) ++ " ."),
         {ok, Term} = erl_parse:parse_term(Tokens),
         term_to_binary(Term, [{minor_version, 2}])
     end || Text <- Texts].

%% The texts of each external form, on one line and on several, by ~tp and by ~p.
show(Forms) ->
    [begin
         Term = binary_to_term(Form),
         [unicode:characters_to_binary(io_lib:format("~" ++ Width ++ ordered() ++ Kind, [Term]))
          || Kind <- ["tp", "p"], Width <- ["0", "", "40"]]
     end || Form <- Forms].

limited(Forms, Depth) ->
    [unicode:characters_to_binary(io_lib:format("~" ++ ordered() ++ "tP", [binary_to_term(Form), Depth]))
     || Form <- Forms].

%% Maps in the order of their keys, which small ones always have before OTP 26.
ordered() ->
    case list_to_integer(erlang:system_info(otp_release)) >= 26 of true -> "k"; false -> "" end.

hashes(Forms) ->
    [begin
         Term = binary_to_term(Form),
         {erlang:phash2(Term), erlang:phash2(Term, 1 bsl 32), erlang:phash(Term, 1 bsl 32)}
     end || Form <- Forms].

%% How the two of each pair compare: {<, ==, =:=}.
compare(Pairs) ->
    [begin
         {A, B} = {binary_to_term(X), binary_to_term(Y)},
         {A < B, A == B, A =:= B}
     end || {X, Y} <- Pairs].
